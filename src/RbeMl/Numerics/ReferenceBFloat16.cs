namespace RbeMl.Numerics;

/// <summary>Rounding to bf16 and back, one value at a time.</summary>
internal static unsafe class ReferenceBFloat16
{
    /// <summary>y = the bits of x rounded to bf16 (8 bits of significand), to nearest, ties to even; a NaN stays one.</summary>
    public static void Round(float* x, ushort* y, long count)
    {
        for (long i = 0; i < count; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(x[i]);
            y[i] = float.IsNaN(x[i]) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    /// <summary>y = x + error rounded to bf16; then error = what rounding took away, 0 where that is no number.</summary>
    public static void RoundWithError(float* x, float* error, ushort* y, long count)
    {
        for (long i = 0; i < count; i++)
        {
            float value = x[i] + error[i], rounded;
            Round(&value, y + i, 1);
            Expand(y + i, &rounded, 1);
            error[i] = float.IsFinite(value - rounded) ? value - rounded : 0;
        }
    }

    /// <summary>y = x as float, exactly.</summary>
    public static void Expand(ushort* x, float* y, long count)
    {
        for (long i = 0; i < count; i++) y[i] = BitConverter.UInt32BitsToSingle((uint)x[i] << 16);
    }
}
