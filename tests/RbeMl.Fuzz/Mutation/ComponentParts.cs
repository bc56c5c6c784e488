using RbeMl.Files;
using RbeMl.MLNet.Files;

namespace RbeMl.Fuzz.Mutation;

/// <summary>
/// Damages the saved bytes of an ML.NET component inside their checksummed pieces, and the <c>.rbe</c> file among them inside its own
/// checksums.
/// </summary>
internal static class ComponentParts
{
    public static byte[] Mutate(byte[] saved, Dice dice)
    {
        if (dice.Once(10)) return ByteMutator.Mutate(saved, dice);
        string component = System.Text.Encoding.UTF8.GetString(saved, 14, saved[12]);
        byte[] body = Body(saved, component);
        int model = body.AsSpan().IndexOf(RbeContainerWriter.Magic);
        byte[] settings = model < 0 ? body : body[..model], file = model < 0 ? [] : body[model..];
        if (file.Length == 0 || dice.Once(2))
        {
            int json = settings.AsSpan().LastIndexOf("{\"kind\""u8);
            settings = json > 1 && dice.Once(2) ? Text([.. settings[..json]], JsonMutator.Mutate(settings[json..], dice))
                : ByteMutator.Mutate(settings, dice, settings);
        }
        else
        {
            file = RbeParts.Mutate(file, dice, file);
        }

        using MemoryStream stream = new();
        ComponentFile.Write(stream, component, writer => writer.Write([.. settings, .. file]));
        if (dice.Once(20)) stream.WriteByte(0);
        return stream.ToArray();
    }

    // A JSON text's length goes before it; the one in front of it was of the old text.
    private static byte[] Text(byte[] before, byte[] json)
    {
        int end = before.Length - 1;
        while (end > 0 && (before[end - 1] & 0x80) != 0) end--; // the bytes of a 7-bit encoded length but for the last have this bit
        using MemoryStream stream = new();
        stream.Write(before, 0, end);
        using (BinaryWriter writer = new(stream, System.Text.Encoding.UTF8, leaveOpen: true)) writer.Write7BitEncodedInt(json.Length);
        stream.Write(json);
        return stream.ToArray();
    }

    private static byte[] Body(byte[] saved, string component) => ComponentFile.Read(new MemoryStream(saved), component, reader =>
    {
        using MemoryStream body = new();
        reader.BaseStream.CopyTo(body);
        return body.ToArray();
    });
}
