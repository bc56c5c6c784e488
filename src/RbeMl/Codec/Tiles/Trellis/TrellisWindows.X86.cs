using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <summary>
/// How lanes find states, shared by vectors that read codes. Decoding takes eight lanes: sixteen are no faster, as .NET gathers eight values at a time;
/// products on sixteen lanes compute values instead (<see cref="TrellisCurve"/>). A state is 12 bits of the payload and needs nothing else. Row-major:
/// sixteen samples lie in 2 * bits &lt;= 12 bytes and their windows start at most two bytes before; every lane shuffles the three bytes its window lies
/// in to its low end and shifts. Column-major: a lane is a column, whose windows lie B * bits / 8 bytes apart at the same bit, and is gathered.
/// </summary>
internal static unsafe class TrellisWindows
{
    /// <summary>The bits of a state.</summary>
    public const int Mask = TrellisCodebook.States - 1;

    /// <summary>Bytes of a row-major vector before its first symbol: 4 + 12 make one of 16.</summary>
    public const int Before = 4;

    /// <summary>By bits - 2: what brings the bytes of each of sixteen windows to the low end of its lane.</summary>
    public static readonly byte[][] Shuffles = [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(MakeShuffle)];

    /// <summary>By bits - 2: how far each is then shifted down.</summary>
    public static readonly int[][] Shifts =
        [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(bits => Enumerable.Range(0, 16).Select(lane => 12 - WindowStart(lane, bits) % 8).ToArray())];

    /// <summary>Whether this machine has what the vector paths need.</summary>
    public static bool HasAvx2 => Avx2.IsSupported;

    /// <summary>What a row-major vector at the start of a tile sees: zeros, then the payload.</summary>
    public static byte* CopyHead(byte* payload, byte* head)
    {
        for (int i = 0; i < 16; i++) head[i] = i < Before ? (byte)0 : payload[i - Before];
        return head;
    }

    // First bit of a lane's window, counted from the vector's first byte.
    private static int WindowStart(int lane, int bits) => 8 * Before + (lane + 1) * bits - TrellisCodebook.StateBits;

    // For each of 16 lanes of four bytes: the three bytes its window lies in, the last one lowest, and a zero.
    private static byte[] MakeShuffle(int bits)
    {
        const byte zero = 0x80;
        byte[] shuffle = new byte[64];
        for (int lane = 0; lane < 16; lane++)
        {
            int first = WindowStart(lane, bits) / 8;
            for (int i = 0; i < 3; i++) shuffle[4 * lane + i] = first + 2 - i < 16 ? (byte)(first + 2 - i) : zero;
            shuffle[4 * lane + 3] = zero;
        }

        return shuffle;
    }
}
