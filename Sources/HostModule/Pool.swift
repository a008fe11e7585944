// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Growing and shrinking the hypervisor's page pool with pages of the host.

internal import CHostKernel
internal import HostModuleCore
internal import HypervisorInterface

/// The most pages that one request moves, so that no writer keeps the kernel busy for long.
private let mostPagesPerRequest: UInt64 = 65_536

/// Donates pages to EL2's pool, one by one: they need not be contiguous.
///
/// - Returns: pages donated, or a negative Linux error number if not even one was.
@c(martlet_pool_grow)
public func poolGrow(pages: UInt64) -> Int64 {
    var done: Int64 = 0
    while UInt64(done) < min(pages, mostPagesPerRequest) {
        let frame = martlet_kernel_page_allocate()
        guard frame != 0 else { return done > 0 ? done : -12 }
        let answer = EL2.request(.topUp, frame, 1)
        guard answer.status == CallStatus.success.rawValue else {
            martlet_kernel_page_free(frame)
            return done > 0 ? done : errorNumber(answer.status)
        }
        done += 1
    }
    return done
}

/// Takes unused pages of EL2's pool back.
///
/// - Returns: pages taken, or a negative Linux error number for another failure than an empty pool.
@c(martlet_pool_shrink)
public func poolShrink(pages: UInt64) -> Int64 {
    var done: Int64 = 0
    while UInt64(done) < min(pages, mostPagesPerRequest) {
        let answer = EL2.request(.reclaimPool)
        guard answer.status == CallStatus.success.rawValue else {
            let isEmpty = answer.status == CallStatus.notFound.rawValue
            return done > 0 || isEmpty ? done : errorNumber(answer.status)
        }
        martlet_kernel_page_free(answer.first)
        done += 1
    }
    return done
}

/// The negative Linux error number for a status.
private func errorNumber(_ status: Int64) -> Int64 {
    switch CallStatus(rawValue: status) {
    case .success: 0
    case .notSupported: -95
    case .invalidParameter: -22
    case .denied: -1
    case .noMemory: -12
    case .busy: -16
    case .notFound: -2
    case .panicked, nil: -5
    }
}
