using System.Buffers.Binary;

namespace RbeMl.Fuzz.Mutation;

/// <summary>Damages bytes without knowing what they are.</summary>
internal static class ByteMutator
{
    private static readonly long[] Extremes =
        [0, 1, -1, 2, 127, 128, 255, 256, 1000, 32_767, 65_535, 65_536, 1_000_000, int.MaxValue, int.MinValue, 1L << 32, (1L << 40) + 1,
            long.MaxValue, long.MinValue, BitConverter.DoubleToInt64Bits(double.NaN), BitConverter.SingleToInt32Bits(float.NaN),
                BitConverter.SingleToInt32Bits(float.PositiveInfinity), 0x7E00, 0x7C00, 0x7BFF];

    /// <summary>Changes one to three places, sometimes with bytes of another sample.</summary>
    public static byte[] Mutate(byte[] bytes, Dice dice, byte[]? other = null)
    {
        for (int changes = 1 + dice.Below(3); changes > 0; changes--) bytes = Change(bytes, dice, other ?? bytes);
        return bytes;
    }

    private static byte[] Change(byte[] bytes, Dice dice, byte[] other)
    {
        int place = dice.Below(bytes.Length), count = Math.Min(bytes.Length - place, 1 + dice.Below(dice.Once(4) ? 4096 : 16));
        switch (dice.Below(10))
        {
            case 0:
                return bytes[..place];
            case 1:
                return [.. bytes[..place], .. bytes[(place + count)..]];
            case 2:
                return [.. bytes[..(place + count)], .. bytes[place..]];
            case 3:
                byte[] inserted = new byte[count];
                for (int i = 0; i < count; i++) inserted[i] = (byte)dice.Bits();
                return [.. bytes[..place], .. inserted, .. bytes[place..]];
            case 4:
                return [.. bytes[..place], .. other[dice.Below(other.Length)..]];
            case 5:
                return [.. bytes, .. inserted = new byte[1 + dice.Below(100)]];
            case 6 or 7:
                byte[] wide = new byte[8], copy = [.. bytes];
                BinaryPrimitives.WriteInt64LittleEndian(wide, dice.Pick(Extremes));
                int size = 1 << dice.Below(4);
                wide.AsSpan(0, Math.Min(size, copy.Length - place)).CopyTo(copy.AsSpan(place));
                return copy;
            default:
                if (bytes.Length == 0) return [(byte)dice.Bits()];
                copy = [.. bytes];
                copy[place] ^= (byte)(1 << dice.Below(8));
                return copy;
        }
    }
}
