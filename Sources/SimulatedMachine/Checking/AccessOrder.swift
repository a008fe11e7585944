// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Which stores a CPU can be sure to see. A store of one CPU may reach another as late as it likes, unless
// the one has released something behind it that the other has acquired (DDI 0487, B2.3.9). So a word that
// another CPU wrote, without such a chain in between, is one whose value nobody knows.

import Arm
import Machine

/// Who is certain to have seen what: vector clocks (FastTrack: Flanagan and Freund, 2009).
struct AccessOrder {
    private struct Store {
        var cpu: Int
        var time: UInt32
    }

    /// How far each CPU has seen each CPU's stores.
    private var seen: [[UInt32]]
    /// What came with the latest release of each lock.
    private var released: [UInt64: [UInt32]] = [:]
    /// The latest store to each word, and to each page that was written as a whole.
    private var words: [UInt64: Store] = [:]
    private var pages: [UInt64: Store] = [:]

    init(cpuCount: Int) {
        seen = (0..<cpuCount).map { cpu in (0..<cpuCount).map { $0 == cpu ? 1 : 0 } }
    }

    private func isSeen(_ store: Store?, by cpu: Int) -> Bool {
        guard let store else { return true }
        return store.cpu == cpu || seen[cpu][store.cpu] >= store.time
    }

    /// The CPU whose store to the word another may not have seen yet.
    func unseenWriter(of word: UInt64, by cpu: Int) -> Int? {
        let store = words[word] ?? pages[word >> pageShift]
        return isSeen(store, by: cpu) ? nil : store?.cpu
    }

    mutating func store(_ word: UInt64, by cpu: Int) { words[word] = Store(cpu: cpu, time: seen[cpu][cpu]) }

    mutating func storePage(_ frame: UInt64, by cpu: Int) {
        pages[frame] = Store(cpu: cpu, time: seen[cpu][cpu])
        for word in stride(from: frame << pageShift, to: (frame + 1) << pageShift, by: 8) { words[word] = nil }
    }

    mutating func acquire(_ lock: UInt64, by cpu: Int) {
        guard let released = released[lock] else { return }
        for index in released.indices { seen[cpu][index] = max(seen[cpu][index], released[index]) }
    }

    mutating func release(_ lock: UInt64, by cpu: Int) {
        released[lock] = seen[cpu]
        seen[cpu][cpu] += 1
    }

    /// A store to the word of a lock that releases nothing: whoever reads it has seen nothing by that.
    mutating func forget(_ lock: UInt64) { released[lock] = nil }
}

extension SimulatedMachine {
    /// From here on, what other CPUs' stores a CPU relies on is checked. What was stored before has been
    /// seen by all.
    public func checkOrder() { order = AccessOrder(cpuCount: cpus.count) }

    /// No longer.
    public func stopCheckingOrder() { order = nil }

    func orderLoad(_ cpu: Int, _ word: UInt64) {
        guard let writer = order?.unseenWriter(of: word, by: cpu) else { return }
        report(
            .unorderedAccess, cpu: cpu,
            "\(hex(word)) is read, and what CPU \(writer) has stored there need not have arrived")
    }

    func orderStore(_ cpu: Int, _ word: UInt64) {
        guard order != nil else { return }
        if let writer = order?.unseenWriter(of: word, by: cpu) {
            report(
                .unorderedAccess, cpu: cpu,
                "\(hex(word)) is written, and what CPU \(writer) has stored there may arrive later")
        }
        order?.store(word, by: cpu)
    }

    func orderHandOver(_ cpu: Int, _ lock: UInt64, _ handOver: HandOver) {
        switch handOver {
        case .acquired: order?.acquire(lock, by: cpu)
        case .released: order?.release(lock, by: cpu)
        case .readRelaxed: break
        case .writtenRelaxed: order?.forget(lock)
        }
    }
}
