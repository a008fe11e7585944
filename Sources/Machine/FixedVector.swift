// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// A vector with a bound and no heap.

/// Up to `capacity` elements, stored in place.
public struct FixedVector<let capacity: Int, Element> {
    @usableFromInline var storage: InlineArray<capacity, Element>
    /// The number of elements.
    public private(set) var count: Int = 0

    /// An empty vector. `filler` is what unused places hold.
    public init(filler: Element) { storage = InlineArray(repeating: filler) }

    /// Adds an element at the end; false, and nothing changed, if the vector is full.
    @discardableResult
    public mutating func append(_ element: Element) -> Bool {
        guard count < capacity else { return false }
        storage[count] = element
        count &+= 1
        return true
    }

    /// Removes the last element; nil if there is none.
    public mutating func popLast() -> Element? {
        guard count > 0 else { return nil }
        count &-= 1
        return storage[count]
    }

    /// The element at an index below `count`.
    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count)
            return storage[index]
        }
        set {
            precondition(index >= 0 && index < count)
            storage[index] = newValue
        }
    }
}

extension FixedVector: Sendable where Element: Sendable {}
