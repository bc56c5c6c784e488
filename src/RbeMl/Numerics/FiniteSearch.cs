using System.Numerics;
using System.Runtime.InteropServices;

namespace RbeMl.Numerics;

/// <summary>Searches numbers for NaN and infinity, floats a vector at a time.</summary>
internal static unsafe class FiniteSearch
{
    private const uint Exponent = 0x7F800000;

    /// <summary>Index of the first value that is not finite, or -1.</summary>
    public static int IndexOfNonFinite(ReadOnlySpan<float> values)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        Vector<uint> exponent = new(Exponent);
        int i = 0;
        for (; i <= bits.Length - Vector<uint>.Count; i += Vector<uint>.Count)
        {
            if (Vector.EqualsAny(new Vector<uint>(bits[i..]) & exponent, exponent)) break;
        }

        for (; i < bits.Length; i++)
        {
            if ((bits[i] & Exponent) == Exponent) return i;
        }

        return -1;
    }

    /// <summary>Whether all values are finite.</summary>
    public static bool AllFinite<T>(T* values, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        const int piece = 1 << 30; // of what a span takes
        for (long i = 0; i < count; i += typeof(T) == typeof(float) ? piece : 1)
        {
            bool finite = typeof(T) == typeof(float)
                ? IndexOfNonFinite(new ReadOnlySpan<float>(values + i, (int)Math.Min(piece, count - i))) < 0
                : T.IsFinite(values[i]);
            if (!finite) return false;
        }

        return true;
    }

    /// <summary>The values, if all are finite: parameters that are may decode to more than a float holds.</summary>
    /// <param name="name">Name of the tensor.</param>
    /// <param name="values">Its decoded values.</param>
    /// <exception cref="NonFiniteException">One is not.</exception>
    public static float[] Require(string name, float[] values)
    {
        int bad = IndexOfNonFinite(values);
        return bad < 0 ? values
            : throw new NonFiniteException(name,
                FormattableString.Invariant($"value {values[bad]} at element {bad} of the decoded tensor. The training diverged: lower the learning rate."));
    }
}
