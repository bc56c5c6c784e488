using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <summary>Decoding of trellis codes to coefficients.</summary>
internal static partial class TrellisDecoder
{
    /// <summary>The coefficients of a tile's codes, <c>[B * B]</c> row-major, as fast as this machine can.</summary>
    public static void Decode(this TrellisTiles tiles, int tileIndex, Span<float> coefficients)
    {
        if (TrellisWindows.HasAvx2) tiles.DecodeAvx2(tileIndex, coefficients);
        else tiles.DecodeScalar(tileIndex, coefficients);
    }

    /// <summary>The definition, symbol by symbol: what the vector paths are checked against.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DecodeScalar(this TrellisTiles tiles, int tileIndex, Span<float> coefficients)
    {
        int area = tiles.Tile * tiles.Tile, bytes = area * tiles.Bits / 8, state = 0, held = 0, next = 0;
        float[] table = TrellisCodebook.For(tiles.Bits);
        float scale = (float)tiles.Scales[tileIndex];
        ReadOnlySpan<byte> payload = tiles.Codes.Span.Slice(tileIndex * bytes, bytes);
        uint pending = 0;
        for (int t = 0; t < area; t++)
        {
            if (held < tiles.Bits)
            {
                pending = pending << 8 | payload[next++];
                held += 8;
            }

            held -= tiles.Bits;
            state = TrellisCodebook.Next(state, (int)(pending >> held) & (1 << tiles.Bits) - 1, tiles.Bits);
            coefficients[TrellisTiles.PlaceOf(t, tiles.Tile, tiles.Scan)] = scale * table[state];
        }
    }
}
