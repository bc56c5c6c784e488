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
