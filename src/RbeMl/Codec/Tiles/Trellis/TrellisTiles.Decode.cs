using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <content>Decoding.</content>
internal sealed partial class TrellisTiles
{
    private protected override void Decode(int tileIndex, Span<float> coefficients)
    {
        if (HasAvx2) DecodeAvx2(tileIndex, coefficients);
        else DecodeScalar(tileIndex, coefficients);
    }

    /// <summary>The definition, symbol by symbol: what the vector paths are checked against.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DecodeScalar(int tileIndex, Span<float> coefficients)
    {
        int area = Tile * Tile, bytes = area * Bits / 8, state = 0, held = 0, next = 0;
        float[] table = TrellisCodebook.For(Bits);
        float scale = (float)Scales[tileIndex];
        ReadOnlySpan<byte> payload = Codes.Span.Slice(tileIndex * bytes, bytes);
        uint pending = 0;
        for (int t = 0; t < area; t++)
        {
            if (held < Bits)
            {
                pending = pending << 8 | payload[next++];
                held += 8;
            }

            held -= Bits;
            state = TrellisCodebook.Next(state, (int)(pending >> held) & (1 << Bits) - 1, Bits);
            coefficients[PlaceOf(t, Tile, Scan)] = scale * table[state];
        }
    }

    /// <summary>Row * B + column of sample <paramref name="t"/>.</summary>
    internal static int PlaceOf(int t, int tile, TrellisScan scan) => scan == TrellisScan.RowMajor ? t : t % tile * tile + t / tile;

    /// <summary>Writes the payload of a tile.</summary>
    /// <param name="symbols"><c>[B²]</c> in the order of the samples.</param>
    /// <param name="bits">Bits of a symbol.</param>
    /// <param name="payload"><c>[B² * bits / 8]</c>.</param>
    internal static void Pack(ReadOnlySpan<byte> symbols, int bits, Span<byte> payload)
    {
        uint pending = 0;
        int held = 0, n = 0;
        foreach (byte symbol in symbols)
        {
            pending = pending << bits | symbol;
            held += bits;
            if (held < 8) continue;
            held -= 8;
            payload[n++] = (byte)(pending >> held);
        }
    }
}
