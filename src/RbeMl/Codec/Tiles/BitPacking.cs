namespace RbeMl.Codec;

/// <summary>Codes of a fixed width in a byte stream, least significant bit first: code e occupies bits [e * bits, (e + 1) * bits).</summary>
internal static class BitPacking
{
    /// <summary>Packs <paramref name="codes"/>, whose count times <paramref name="bits"/> is a multiple of 8.</summary>
    public static void Pack(ReadOnlySpan<byte> codes, int bits, Span<byte> packed)
    {
        uint pending = 0;
        int held = 0, n = 0;
        foreach (byte code in codes)
        {
            pending |= (uint)code << held;
            held += bits;
            while (held >= 8)
            {
                packed[n++] = (byte)pending;
                pending >>= 8;
                held -= 8;
            }
        }
    }

    /// <summary>Unpacks as many codes as <paramref name="codes"/> holds.</summary>
    public static void Unpack(ReadOnlySpan<byte> packed, int bits, Span<byte> codes)
    {
        uint pending = 0, mask = (1u << bits) - 1;
        int held = 0, n = 0;
        for (int e = 0; e < codes.Length; e++)
        {
            while (held < bits)
            {
                pending |= (uint)packed[n++] << held;
                held += 8;
            }

            codes[e] = (byte)(pending & mask);
            pending >>= bits;
            held -= bits;
        }
    }
}
