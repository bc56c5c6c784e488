namespace RbeMl.Tests.Files;

/// <summary>Damages bytes in seeded ways: flipped bits, replaced, removed and doubled bytes, cuts.</summary>
internal static class Mutations
{
    /// <summary>Bytes that a use may allocate beyond what it does with the sound bytes.</summary>
    private const long Slack = 8 << 20;

    public static void Each(byte[] sound, int count, int seed, Action<byte[]> use)
    {
        Random random = new(seed);
        use(sound);
        long start = GC.GetAllocatedBytesForCurrentThread();
        use(sound);
        long usual = GC.GetAllocatedBytesForCurrentThread() - start;
        for (int i = 0; i < count; i++)
        {
            byte[] bytes = Change(sound, random, i);
            long before = GC.GetAllocatedBytesForCurrentThread();
            use(bytes);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < (2 * usual) + Slack, $"mutation {i} allocated by a length that was not checked");
        }
    }

    private static byte[] Change(byte[] sound, Random random, int index)
    {
        int place = random.Next(sound.Length);
        byte[] bytes = [.. sound];
        switch (index % 6)
        {
            case 0:
                return sound[..place];
            case 1:
                bytes[place] = (byte)"0123456789{}[]\",:- \0\u007f"[random.Next(21)];
                return bytes;
            case 2:
                return [.. sound[..place], .. sound[Math.Min(sound.Length, place + random.Next(1, 5))..]];
            case 3:
                return [.. sound[..place], .. sound[Math.Max(0, place - random.Next(1, 9))..]];
            default:
                for (int flips = random.Next(1, 4); flips > 0; flips--) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                return bytes;
        }
    }
}
