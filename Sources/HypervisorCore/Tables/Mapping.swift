// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// What a range of input pages shall translate to, and what that means for each entry.

public import Arm

/// What a range shall translate to.
public enum Mapping<Attributes: LeafAttributes>: Sendable {
    /// Nothing: accesses fault.
    case nothing
    /// Each page to the frame of the same number, with blocks up to the given level.
    case identity(Attributes, largest: Level)
    /// Consecutive frames from the given one on, in pages, and in 2 MiB blocks where both sides are
    /// aligned.
    case pages(from: Frame<HostPhysical>, Attributes)
}

/// A run of input pages, which is not empty.
public struct InputRange: Equatable, Sendable {
    /// The first page.
    public let first: UInt64
    /// The page behind the last.
    public let end: UInt64

    @inlinable
    init(first: UInt64, end: UInt64) {
        self.first = first
        self.end = end
    }

    /// Input pages with the numbers of physical frames, for an identity map.
    @inlinable
    public init(_ range: FrameRange<HostPhysical>) {
        first = range.first.number
        end = range.end.number
    }

    /// Input pages that are EL2's virtual pages.
    @inlinable
    public init(_ range: FrameRange<HypervisorVirtual>) {
        first = range.first.number
        end = range.end.number
    }
}

extension Mapping {
    /// A mapping bound to the input page that it starts at.
    struct From {
        let mapping: Mapping
        let first: UInt64

        /// The one descriptor of `level` for the entry that starts at `start`; nil if the mapping
        /// needs smaller leaves.
        func descriptor(for start: UInt64, at level: Level) -> Descriptor<Attributes>? {
            switch mapping {
            case .nothing:
                return .invalid
            case .identity(let attributes, let largest):
                guard level >= largest else { return nil }
                return .leaf(Frame(start), attributes)
            case .pages(let base, let attributes):
                let output = base.advanced(by: start &- first)
                guard level >= .two, output.number & (level.entryPages &- 1) == 0 else { return nil }
                return .leaf(output, attributes)
            }
        }

        /// Whether an entry already says, for its whole range, what the mapping wants of a part.
        func agrees(with old: Descriptor<Attributes>, at level: Level, start: UInt64) -> Bool {
            switch (mapping, old) {
            case (.nothing, .invalid): true
            case (.identity(let attributes, _), .leaf(let output, let present)):
                output.number == start && present == attributes
            default: false
            }
        }
    }

    func shifted(to first: UInt64) -> From { From(mapping: self, first: first) }
}
