namespace RbeMl;

/// <summary>Compares the length of a buffer with the product of a shape's sides, which may be any numbers: products do not wrap.</summary>
internal static class Shape
{
    /// <summary>Elements of a shape of at most four sides.</summary>
    public static Int128 Count(params ReadOnlySpan<int> sides)
    {
        Int128 count = 1;
        foreach (int side in sides) count *= side;
        return count;
    }

    /// <summary>Whether all sides are positive and their product is that length.</summary>
    public static bool Holds(long length, params ReadOnlySpan<int> sides)
    {
        foreach (int side in sides)
        {
            if (side < 1) return false;
        }

        return Count(sides) == length;
    }

    /// <summary>The error of a buffer that does not hold a shape.</summary>
    /// <param name="what">The buffer.</param>
    /// <param name="length">Its length.</param>
    /// <param name="mend">What the caller can do about it.</param>
    /// <param name="sides">The shape.</param>
    public static ShapeMismatchException Mismatch(string what, long length, string mend, params ReadOnlySpan<int> sides)
    {
        string shape = string.Join(", ", sides.ToArray().Select(side => $"{side}"));
        return new ShapeMismatchException(what,
            FormattableString.Invariant($"[{shape}] = {Count(sides)} values"), FormattableString.Invariant($"{length}"), mend);
    }
}
