using System.Buffers.Binary;

namespace RbeMl.Fuzz.Mutation;

/// <summary>Damages a safetensors file; the length of its header is mended.</summary>
internal static class SafetensorsParts
{
    public static byte[] Mutate(byte[] bytes, Dice dice, byte[] other)
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        byte[] header = bytes[8..(8 + length)], data = bytes[(8 + length)..];
        return dice.Below(10) switch
        {
            0 => ByteMutator.Mutate(bytes, dice, other),
            1 => Assemble(ByteMutator.Mutate(header, dice), data),
            2 => Assemble(header, ByteMutator.Mutate(data, dice, other)),
            3 => Assemble(header, [.. data, .. data[..dice.Below(Math.Min(100, data.Length))]]),
            _ => Assemble(JsonMutator.Mutate(header, dice), data),
        };
    }

    private static byte[] Assemble(byte[] header, byte[] data)
    {
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data];
    }
}
