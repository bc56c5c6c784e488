using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <summary>How vectors of codes are taken out of packed bytes: what decoding, products and integer levels share.</summary>
internal static unsafe class CodeVectors
{
    private const int VectorBytes = 16;

    /// <summary>Bytes of a buffer for <see cref="CopyTail"/>.</summary>
    public const int TailBytes = 64;

    /// <summary>By bits - 2: what brings the bytes of each of sixteen codes to the low end of its lane.</summary>
    public static readonly byte[][] Shuffles = QuantizerLevels.ByBits(MakeShuffle);

    /// <summary>By bits - 2: how far each is then shifted down.</summary>
    public static readonly int[][] Shifts =
        QuantizerLevels.ByBits(bits => Enumerable.Range(0, 16).Select(lane => lane * bits % 8).ToArray());

    /// <summary>By bits - 2, of 2 .. 5 bits: the level of every code, repeated to 32 entries.</summary>
    public static readonly float[][] Tables =
        [.. Enumerable.Range(QuantizedTiles.LeastBits, 4).Select(
            bits => Enumerable.Range(0, 32).Select(e => QuantizerLevels.For(bits)[e % (1 << bits)]).ToArray())];

    /// <summary>
    /// Sixteen codes in the low bits of sixteen lanes; above them lie bits of the next code, which a permutation ignores up to its table's
    /// size.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Codes16(byte* from, Vector512<byte> shuffle, Vector512<uint> shifts) =>
        Avx512F.ShiftRightLogicalVariable(Avx512BW.Shuffle(Avx512F.BroadcastVector128ToVector512((uint*)from).AsByte(), shuffle).AsUInt32(), shifts).AsInt32();

    /// <summary>Bytes read from a group's first one on: its last sixteen codes start at byte 6 * bits.</summary>
    public static int GroupReach(int bits) => 6 * bits + VectorBytes;

    /// <summary>How many of the next groups of codes lie, with all that is read of them, in what is left of the array.</summary>
    public static int GroupsInside(long bytesLeft, int bits, int reach, int groups) =>
        bytesLeft < reach ? 0 : (int)Math.Min(groups, ((bytesLeft - reach) / (8 * bits)) + 1);

    /// <summary>The last bytes of the array, so that nothing beyond it is read.</summary>
    public static byte* CopyTail(byte* source, int count, byte* buffer)
    {
        for (int i = 0; i < count; i++) buffer[i] = source[i];
        return buffer;
    }

    // For each of 16 lanes of four bytes: the byte its code starts in, the next one if the code reaches into it, and zeros.
    private static byte[] MakeShuffle(int bits)
    {
        const byte zero = 0x80;
        byte[] shuffle = new byte[64];
        Array.Fill(shuffle, zero);
        for (int lane = 0; lane < 16; lane++)
        {
            int first = lane * bits / 8, last = (lane * bits + bits - 1) / 8;
            shuffle[4 * lane] = (byte)first;
            if (last != first) shuffle[4 * lane + 1] = (byte)last;
        }

        return shuffle;
    }
}
