// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which SMCs of the host reach firmware. A list of what is allowed: firmware that takes a physical
// address from the host would otherwise read or write a guest's page on the host's behalf.

public import Arm
import HypervisorInterface
public import Machine

/// What firmware offers, asked once at installation.
public struct FirmwareFilter: Sendable {
    let hasWorkaround1: Bool
    let hasWorkaround2: Bool
    let hasWorkaround3: Bool
    let hasTRNG: Bool
    let hasSoCID: Bool
    /// PSCI_VERSION's answer.
    let psciVersion: UInt64

    /// Asks firmware which workaround calls and which services it has.
    public init(on processor: some Processor) {
        func call(_ function: FunctionID, _ argument: UInt64 = 0) -> Int64 {
            Int64(bitPattern: processor.callFirmware(FirmwareRegisters(function, argument)).x0)
        }
        psciVersion = UInt64(bitPattern: call(FunctionID(PSCIFunction.version.rawValue)))
        // SMCCC_VERSION may be called only if PSCI_FEATURES says so (DEN0028, section 7.2), and
        // PSCI_FEATURES exists from PSCI 1.0 on.
        let hasFeatures = psciVersion >> 16 == 1
        let hasSMCCC =
            hasFeatures
            && call(FunctionID(PSCIFunction.features.rawValue), UInt64(FunctionID.version.rawValue)) == 0
            && call(.version) >= 0x1_0001
        func offers(_ workaround: FunctionID) -> Bool {
            hasSMCCC && call(.archFeatures, UInt64(workaround.rawValue)) >= 0
        }
        hasWorkaround1 = offers(.workaround1)
        hasWorkaround2 = offers(.workaround2)
        hasWorkaround3 = offers(.workaround3)
        hasSoCID = offers(.socID)
        // TRNG_VERSION answers a version, or -1 as a 32-bit or a 64-bit value.
        hasTRNG = hasSMCCC && Int32(truncatingIfNeeded: call(.trngVersion)) >= 0x1_0000
    }

    /// What happens to an SMC.
    public enum Verdict: Equatable, Sendable {
        /// A power call that EL2 relays or answers.
        case power(PSCIFunction)
        /// Goes to firmware as it is.
        case forward
        /// Answered with this, and no reason for concern.
        case answer(UInt64)
        /// Answered with NOT_SUPPORTED.
        case refuse
    }

    /// Decides about a function identifier and its first argument.
    ///
    /// What SMCCC_ARCH_FEATURES says about a call is what the call would say: firmware is asked about
    /// those that reach it, and no others.
    public func verdict(_ function: FunctionID, _ argument: UInt64) -> Verdict {
        if let power = PSCIFunction(rawValue: function.rawValue) { return .power(power) }
        switch function {
        case .version: return .forward
        case .archFeatures:
            let asked = FunctionID(register: argument)
            guard asked != .archFeatures else { return .forward }
            // A type of SOC_ID that exists; the question is about all of them.
            let isForwarded = PSCIFunction(rawValue: asked.rawValue) == nil && verdict(asked, 0) == .forward
            return isForwarded ? .forward : .answer(SMCCCStatus.notSupported)
        case .socID:
            guard hasSoCID else { return .refuse }
            // Version and revision of the SoC; a name (type 2) needs more registers than are relayed.
            return argument & 0xFFFF_FFFF <= 1 ? .forward : .answer(SMCCCStatus.invalidParameter)
        case .workaround1: return hasWorkaround1 ? .forward : .refuse
        case .workaround2: return hasWorkaround2 ? .forward : .refuse
        case .workaround3: return hasWorkaround3 ? .forward : .refuse
        case .trngVersion, .trngFeatures, .trngGetUUID, .trngRandom32, .trngRandom64:
            return hasTRNG ? .forward : .refuse
        default: return isWithout(.firmwareCallsAreListed) ? .forward : .refuse
        }
    }
}
