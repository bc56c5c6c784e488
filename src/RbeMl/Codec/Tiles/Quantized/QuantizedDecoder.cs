namespace RbeMl.Codec;

/// <summary>
/// Decoding of quantised codes to coefficients. In vectors, sixteen codes are 2 * bits &lt;= 16 bytes: every lane shuffles the two bytes its
/// code lies in to its low end, shifts the code down by (lane * bits) mod 8, and looks its level up by permutation (2 .. 5 bits) or computes
/// it (6 .. 8 bits).
/// </summary>
internal static partial class QuantizedDecoder
{
    /// <summary>The coefficients of a tile's codes, <c>[B * B]</c> row-major, as fast as this machine can.</summary>
    public static void Decode(this QuantizedTiles tiles, int tileIndex, Span<float> coefficients)
    {
        if (!tiles.DecodeX86(tileIndex, coefficients)) tiles.DequantizeScalar(tileIndex, coefficients);
    }

    /// <summary>The definition, code by code: what the vector paths are checked against.</summary>
    public static void DequantizeScalar(this QuantizedTiles tiles, int tileIndex, Span<float> coefficients)
    {
        int area = tiles.Tile * tiles.Tile, bytes = area * tiles.Bits / 8, groups = area / QuantizedTiles.GroupSize;
        float[] levels = QuantizerLevels.For(tiles.Bits);
        Span<byte> codes = stackalloc byte[QuantizedTiles.GroupSize];
        ReadOnlySpan<byte> packed = tiles.Codes.Span.Slice(tileIndex * bytes, bytes);
        int groupBytes = QuantizedTiles.GroupSize * tiles.Bits / 8;
        for (int g = 0; g < groups; g++)
        {
            float scale = QuantizedTiles.ToSingle(tiles.Scales[tileIndex * groups + g]);
            BitPacking.Unpack(packed.Slice(g * groupBytes, groupBytes), tiles.Bits, codes);
            for (int e = 0; e < codes.Length; e++) coefficients[g * codes.Length + e] = scale * levels[codes[e]];
        }
    }
}
