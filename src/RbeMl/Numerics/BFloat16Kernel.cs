using System.Numerics;
using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>Rounding of arrays to bf16 and back. Integer arithmetic, so any vector width gives the same bits.</summary>
internal static unsafe class BFloat16Kernel
{
    /// <summary>
    /// y = the bits of x rounded to bf16 (8 bits of significand), to nearest, ties to even; a NaN stays one. The relative error is at most
    /// 2^-8, in the norm of an array about 2^-9.4.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Round(float* x, ushort* y, long count)
    {
        int lanes = Vector<uint>.Count;
        Vector<uint> half = new(0x7FFF), one = Vector<uint>.One, magnitude = new(0x7FFFFFFF), infinity = new(0x7F800000), quiet = new(0x40);
        long i = 0;
        for (; i + (2 * lanes) <= count; i += 2 * lanes)
        {
            Vector<uint> low = Half(Unsafe.ReadUnaligned<Vector<uint>>(x + i)), high = Half(Unsafe.ReadUnaligned<Vector<uint>>(x + i + lanes));
            Unsafe.WriteUnaligned(y + i, Vector.Narrow(low, high));
        }

        ReferenceBFloat16.Round(x + i, y + i, count - i);

        Vector<uint> Half(Vector<uint> bits)
        {
            Vector<uint> upper = Vector.ShiftRightLogical(bits, 16);
            Vector<uint> rounded = Vector.ShiftRightLogical(bits + half + (upper & one), 16);
            return Vector.ConditionalSelect(Vector.GreaterThan(bits & magnitude, infinity), upper | quiet, rounded);
        }
    }

    /// <summary>
    /// y = the bits of x + error rounded to bf16 as by <see cref="Round"/>; then error = what rounding took away, 0 where that is no number. What is added
    /// to the next x makes up for it, so that the sum of many y differs from that of the x by one rounding alone.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RoundWithError(float* x, float* error, ushort* y, long count)
    {
        int lanes = Vector<uint>.Count;
        Vector<uint> half = new(0x7FFF), one = Vector<uint>.One, magnitude = new(0x7FFFFFFF), infinity = new(0x7F800000), quiet = new(0x40);
        long i = 0;
        for (; i + (2 * lanes) <= count; i += 2 * lanes)
        {
            Unsafe.WriteUnaligned(y + i, Vector.Narrow(Half(x + i, error + i), Half(x + i + lanes, error + i + lanes)));
        }

        ReferenceBFloat16.RoundWithError(x + i, error + i, y + i, count - i);

        Vector<uint> Half(float* values, float* errors)
        {
            Vector<float> value = Unsafe.ReadUnaligned<Vector<float>>(values) + Unsafe.ReadUnaligned<Vector<float>>(errors);
            Vector<uint> bits = Vector.AsVectorUInt32(value), upper = Vector.ShiftRightLogical(bits, 16);
            Vector<uint> rounded = Vector.ShiftRightLogical(bits + half + (upper & one), 16);
            rounded = Vector.ConditionalSelect(Vector.GreaterThan(bits & magnitude, infinity), upper | quiet, rounded);
            Vector<uint> left = Vector.AsVectorUInt32(value - Vector.AsVectorSingle(Vector.ShiftLeft(rounded, 16)));
            Unsafe.WriteUnaligned(errors, Vector.AndNot(left, Vector.GreaterThanOrEqual(left & magnitude, infinity)));
            return rounded;
        }
    }

    /// <summary>y = x as float, exactly.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Expand(ushort* x, float* y, long count)
    {
        int lanes = Vector<ushort>.Count;
        long i = 0;
        for (; i + lanes <= count; i += lanes)
        {
            Vector.Widen(Unsafe.ReadUnaligned<Vector<ushort>>(x + i), out Vector<uint> low, out Vector<uint> high);
            Unsafe.WriteUnaligned(y + i, Vector.ShiftLeft(low, 16));
            Unsafe.WriteUnaligned(y + i + (lanes / 2), Vector.ShiftLeft(high, 16));
        }

        ReferenceBFloat16.Expand(x + i, y + i, count - i);
    }
}
