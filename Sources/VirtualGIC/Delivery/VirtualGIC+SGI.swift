// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Interrupts from one vCPU to others: trapped writes of the SGI registers (IHI 0069, 12.2.18).

/// Which of the three registers a guest wrote.
public enum SGIRegister: Sendable {
    /// ICC_SGI1R_EL1, which reaches SGIs of both groups.
    case groupOne
    /// ICC_ASGI1R_EL1, which with one security state reaches group 0.
    case otherGroupOne
    /// ICC_SGI0R_EL1, which reaches group 0.
    case groupZero
}

extension VirtualGIC {
    /// Makes an SGI pending on every vCPU that a write by `sender` names.
    public mutating func generateSGI(from sender: VCPUIndex, _ register: SGIRegister, _ value: UInt64) -> VCPUSet {
        let intid = Int(truncatingIfNeeded: value &>> 24 & 0xF)
        var kicked = VCPUSet()
        for index in 0..<shape.vcpus {
            let vcpu = VCPUIndex(index)
            guard names(value, vcpu, from: sender), let place = shape.place(of: intid, seenBy: vcpu) else {
                continue
            }
            let reaches: Bool =
                switch register {
                case .groupOne: true
                case .otherGroupOne, .groupZero: self[place].group == .zero
                }
            if reaches { kicked.formUnion(change(place) { $0.isLatched = true }) }
        }
        return kicked
    }

    private func names(_ value: UInt64, _ vcpu: VCPUIndex, from sender: VCPUIndex) -> Bool {
        // IRM: all but the sender.
        if value & 1 &<< 40 != 0 { return vcpu != sender }
        let affinity = UInt64(Affinity(vcpuID: number(of: vcpu)).bits)
        let list = value & 0xFFFF
        let range = value &>> 44 & 0xF
        return value &>> 48 & 0xFF == 0  // Aff3
            && value &>> 32 & 0xFF == affinity &>> 16 & 0xFF
            && value &>> 16 & 0xFF == affinity &>> 8 & 0xFF
            && range == affinity &>> 4 & 0xF
            && list &>> (affinity & 0xF) & 1 != 0
    }
}
