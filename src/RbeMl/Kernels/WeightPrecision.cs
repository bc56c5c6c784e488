namespace RbeMl.Kernels;

/// <summary>How a copy for inference keeps sparse coefficients and trellis codes.</summary>
public enum WeightPrecision
{
    /// <summary>As they are.</summary>
    Float32,

    /// <summary>Rounded to bfloat16: 8 significant bits, a relative error of at most 2^-9, half the bytes.</summary>
    BFloat16,

    /// <summary>
    /// Sparse coefficients as <see cref="BFloat16"/>. Trellis codes become 8-bit codes with a scale for every 64 of them, 8.25 bits a
    /// weight, whose levels are computed where a trellis looks each value up: a group's root mean square error is at most 1/222 of its largest value.
    /// </summary>
    Int8,
}

/// <summary>Rounding to <see cref="WeightPrecision"/>.</summary>
internal static class WeightRounding
{
    /// <summary>The nearest bfloat16, ties to even.</summary>
    public static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>The value of a bfloat16.</summary>
    public static float FromBFloat16(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    /// <summary>The values as they are after rounding.</summary>
    /// <param name="name">What they are of, for errors.</param>
    /// <param name="values">Finite values.</param>
    /// <param name="precision">To what.</param>
    /// <exception cref="InvalidSettingException">They overflow, or are so small that bfloat16 has no 8 significant bits for them.</exception>
    public static float[] Round(string name, float[] values, WeightPrecision precision)
    {
        if (!Enum.IsDefined(precision)) throw new InvalidSettingException(nameof(precision), precision, "use Float32, BFloat16 or Int8.");
        if (precision == WeightPrecision.Float32) return values;
        float[] rounded = [.. values.Select(v => FromBFloat16(ToBFloat16(v)))];
        if (Codec.RbeCompressor.RelativeError(values, rounded) is <= 1.0 / 256) return rounded; // also where there are none
        throw new InvalidSettingException(nameof(precision), precision,
            $"coefficients of {name} are beyond what bfloat16 keeps, about 1e-38 to 3.39e38. Use Float32, or scale the weights.");
    }
}
