using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <content>Decoding of codes.</content>
internal sealed partial class QuantizedTiles
{
    /// <summary>
    /// The level of every code, <c>[2^bits]</c>, ascending, for groups of unit variance: Lloyd-Max levels of a unit Gaussian for 3 .. 5 bits,
    /// (code - 2^(bits - 1)) / 2^(bits - 3) for 6 .. 8 bits. value = scale * level[code]. Do not write to it.
    /// </summary>
    /// <exception cref="InvalidSettingException">Bits are not 3 .. 8.</exception>
    public static float[] LevelsFor(int bits) =>
        bits is < 3 or > 8 ? throw new InvalidSettingException("bits", bits, "use 3 .. 8.") : QuantizerLevels.For(bits);

    private protected override void Decode(int tileIndex, Span<float> coefficients)
    {
        if (!DecodeX86(tileIndex, coefficients)) DequantizeScalar(tileIndex, coefficients);
    }

    /// <summary>The definition, code by code: what the vector paths are checked against.</summary>
    internal void DequantizeScalar(int tileIndex, Span<float> coefficients)
    {
        int area = Tile * Tile, bytes = area * Bits / 8, groups = area / QuantizedFormat.GroupSize;
        float[] levels = QuantizerLevels.For(Bits);
        Span<byte> codes = stackalloc byte[QuantizedFormat.GroupSize];
        ReadOnlySpan<byte> packed = Codes.Span.Slice(tileIndex * bytes, bytes);
        int groupBytes = QuantizedFormat.GroupSize * Bits / 8;
        for (int g = 0; g < groups; g++)
        {
            float scale = ToSingle(Scales[tileIndex * groups + g]);
            BitPacking.Unpack(packed.Slice(g * groupBytes, groupBytes), Bits, codes);
            for (int e = 0; e < codes.Length; e++) coefficients[g * codes.Length + e] = scale * levels[codes[e]];
        }
    }

    // A non-negative finite fp16 as fp32: exponent and mantissa moved into place, the bias made up by 2^112. Exact, subnormals included, and free of
    // the branches of the general conversion.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float ToSingle(Half scale) => BitConverter.UInt32BitsToSingle((uint)BitConverter.HalfToUInt16Bits(scale) << 13) * 5.192296858534828e33f;
}
