namespace RbeMl.Codec;

/// <summary>Levels as integers of 16 bits, and where their codes lie: what <see cref="QuantizedPairProducts"/> looks up.</summary>
internal static class PairLevels
{
    /// <summary>
    /// Largest level of 2 .. 5 bits. A lane adds up eight products of a level and an integer of 16 bits, which fit 31 bits then.
    /// </summary>
    public const int Largest = 8191;

    /// <summary>Largest distance of a level from its integer, in standard deviations of the coefficients: of 5 bits, less of fewer, none of more.</summary>
    public const double MostError = 1.4e-4;

    /// <summary>
    /// Relative error of a product with a vector, root mean square: levels are off by up to <see cref="MostError"/>, x by half a step of the largest of 64,
    /// which is three or four times their root mean square.
    /// </summary>
    public const double ProductError = 9e-5;

    private const int LeastLargest = 6000;
    private static readonly (float Step, short[] Levels)[] s_levels = QuantizerLevels.ByBits(Make);
    private static readonly byte[][] s_tables = QuantizerLevels.ByBits(MakeTables);
    private static readonly byte[][] s_windows = QuantizerLevels.ByBits(MakeWindows);

    /// <summary>
    /// What levels are multiples of. Of 2 .. 5 bits, the step of which all levels are as nearly multiples as can be; of more bits a level is
    /// code - 2^(bits - 1) steps, exactly.
    /// </summary>
    public static float StepOf(int bits) => s_levels[bits - QuantizedTiles.LeastBits].Step;

    /// <summary>Levels of all codes in steps. Do not write to it.</summary>
    public static short[] For(int bits) => s_levels[bits - QuantizedTiles.LeastBits].Levels;

    /// <summary>
    /// <c>[4][32]</c>, each table of sixteen bytes twice: low and high bytes of the levels of 3 and 4 bits; of the lower and then the upper sixteen levels of
    /// 5 bits; of the first and then the second of two codes of 2 bits. Do not write to it.
    /// </summary>
    public static byte[] Tables(int bits) => s_tables[bits - QuantizedTiles.LeastBits];

    /// <summary>
    /// For each of sixteen words the two bytes that it is made of and what it is then multiplied by, <c>[32]</c> bytes and <c>[16]</c> words; of 7 bits
    /// the same again for the second eight codes. Of 3, 5 and 6 bits a word holds two codes, of 7 bits one. Do not write to it.
    /// </summary>
    public static byte[] Windows(int bits) => s_windows[bits - QuantizedTiles.LeastBits];

    private static (float Step, short[] Levels) Make(int bits)
    {
        float[] levels = QuantizerLevels.For(bits);
        int middle = 1 << (bits - 1);
        if (QuantizerLevels.IsUniform(bits)) return (QuantizerLevels.Step(bits), [.. Enumerable.Range(-middle, 2 * middle).Select(level => (short)level)]);
        double top = levels[^1];
        int most = Enumerable.Range(LeastLargest, Largest + 1 - LeastLargest)
            .MinBy(n => levels.Max(level => Math.Abs((level * n / top) - Math.Round(level * n / top)) / n));
        float step = (float)(top / most);
        return (step, [.. levels.Select(level => (short)Math.Round(level / (double)step))]);
    }

    private static byte[] MakeTables(int bits)
    {
        byte[] tables = new byte[4 * 32];
        if (QuantizerLevels.IsUniform(bits)) return tables;
        short[] levels = For(bits);
        for (int i = 0; i < 16; i++)
        {
            int first = bits == 2 ? i & 3 : i % levels.Length, second = bits == 2 ? i >> 2 : (i + 16) % levels.Length;
            for (int copy = i; copy < 32; copy += 16)
            {
                (tables[copy], tables[32 + copy]) = ((byte)levels[first], (byte)(levels[first] >> 8));
                (tables[64 + copy], tables[96 + copy]) = ((byte)levels[second], (byte)(levels[second] >> 8));
            }
        }

        return tables;
    }

    private static byte[] MakeWindows(int bits)
    {
        byte[] windows = new byte[128];
        int width = bits is 3 or 5 or 6 ? 2 * bits : bits, parts = bits == 7 ? 2 : 1;
        if (bits is 2 or 4 or 8) return windows;
        for (int part = 0; part < parts; part++)
        {
            for (int word = 0; word < 16; word++)
            {
                int bit = ((part * 8) + (word % 8)) * width, raise = 1 << (16 - width - (bit % 8)), at = (64 * part) + (2 * word);
                (windows[at], windows[at + 1]) = ((byte)(bit / 8), (byte)((bit / 8) + 1));
                (windows[32 + at], windows[33 + at]) = ((byte)raise, (byte)(raise >> 8));
            }
        }

        return windows;
    }
}
