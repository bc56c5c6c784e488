using System.Buffers.Binary;
using System.Text;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

public sealed class SafetensorsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static float[] Values(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-6, 4))))];
    }

    [Fact]
    public void What_was_written_is_read()
    {
        string path = _folder.File("a.safetensors");
        float[] a = Values(6, 1), b = Values(1, 2);
        a[4] = -0f;
        SafetensorsWriter.Write(path,
            [SafetensorsSource.From("b", b, []), SafetensorsSource.From("a \u0120\"", a, [2, 3]), SafetensorsSource.From("c", [], [7, 0, 3])],
            new Dictionary<string, string> { ["format"] = "pt" });
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.Equal(["F32 [2, 3]", "F32 []", "F32 [7, 0, 3]"], file.Tensors.Select(t => t.Describe()));
        Assert.Equal(a.Select(BitConverter.SingleToInt32Bits), file.ReadFloats("a \u0120\"").Select(BitConverter.SingleToInt32Bits));
        Assert.Equal(b, file.ReadFloats("b"));
        Assert.Empty(file.ReadFloats("c"));
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Contains("no tensor \"d\"", Assert.Throws<RbeFileException>(() => file.ReadFloats("d")).Message);
        Assert.Throws<ShapeMismatchException>(() => file.Read("b", new float[2]));
    }

    [Fact]
    public void The_bytes_are_those_of_the_format_in_any_order_of_tensors()
    {
        string path = _folder.File("a.safetensors");
        SafetensorsSource[] sources =
            [SafetensorsSource.From("h", [1f], [1], SafetensorsElement.F16), SafetensorsSource.From("z", [1f], [1]), SafetensorsSource.From("y", [2f], [1, 1])];
        SafetensorsWriter.Write(path, sources);
        byte[] bytes = File.ReadAllBytes(path);
        const string Header =
            "{\"y\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},\"z\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
            + "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[8,10]}}";
        int length = (Header.Length + 7) / 8 * 8;
        Assert.Equal(length, (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        Assert.Equal(Header.PadRight(length), Encoding.UTF8.GetString(bytes, 8, length));
        Assert.Equal([0, 0, 0, 0x40, 0, 0, 0x80, 0x3F, 0, 0x3C], bytes[(8 + length)..]);
        SafetensorsWriter.Write(path, sources.Reverse());
        Assert.Equal(bytes, File.ReadAllBytes(path));
    }

    [Fact]
    public void Every_half_and_bfloat_becomes_its_float_and_comes_back()
    {
        // All 65,536 values, in one go for the vectors and one by one for the rest; only a NaN's signalling bit may differ from the runtime's.
        ushort[] all = [.. Enumerable.Range(0, 65536).Select(i => (ushort)i)];
        float[] halves = new float[65536], brains = new float[65536], single = new float[1];
        HalfPrecision.FromHalf(all, halves);
        HalfPrecision.FromBrain(all, brains);
        ushort[] back = new ushort[65536], one = new ushort[1];
        HalfPrecision.ToHalf(halves, back);
        for (int i = 0; i < 65536; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)i);
            Assert.True(float.IsNaN(expected) ? float.IsNaN(halves[i])
                : BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(halves[i]), $"half {i:X4}");
            Assert.Equal((uint)i << 16, BitConverter.SingleToUInt32Bits(brains[i]));
            Assert.Equal(float.IsNaN(expected) ? i | 0x200 : i, back[i]);
            HalfPrecision.FromHalf(all.AsSpan(i, 1), single);
            Assert.Equal(BitConverter.SingleToInt32Bits(halves[i]), BitConverter.SingleToInt32Bits(single[0]));
            HalfPrecision.ToHalf(halves.AsSpan(i, 1), one);
            Assert.Equal(back[i], one[0]);
        }

        HalfPrecision.ToBrain(brains, back);
        Assert.All(Enumerable.Range(0, 65536), i => Assert.Equal(float.IsNaN(brains[i]) ? i | 0x40 : i, back[i]));
    }

    [Fact]
    public void Floats_are_rounded_to_the_nearest_even()
    {
        Random random = new(5);
        float[] values = new float[200_003];
        for (int i = 0; i < values.Length; i++)
        {
            // Half of them ties: exactly between two halves (13 bits dropped) or two bfloats (16 bits).
            uint bits = (uint)random.NextInt64(1L << 32);
            values[i] = BitConverter.UInt32BitsToSingle((i % 4) switch { 0 => (bits & ~0x1FFFu) | 0x1000, 1 => (bits & ~0xFFFFu) | 0x8000, _ => bits });
            if (i % 8 >= 4)
            {
                values[i] = BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(values[i]) & 0x807FFFFF) | ((uint)random.Next(100, 145) << 23));
            }
        }

        ushort[] halves = new ushort[values.Length], brains = new ushort[values.Length];
        HalfPrecision.ToHalf(values, halves);
        HalfPrecision.ToBrain(values, brains);
        for (int i = 0; i < values.Length; i++)
        {
            if (float.IsNaN(values[i])) continue;
            Assert.Equal(BitConverter.HalfToUInt16Bits((Half)values[i]), halves[i]);
            double low = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(values[i]) & 0xFFFF0000);
            if (BitConverter.SingleToUInt32Bits((float)low) % 0x80000000 >= 0x7F7F0000) continue; // the next one up is infinite
            double high = BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits(values[i]) & 0xFFFF0000) + 0x10000);
            double toLow = Math.Abs(values[i] - low), toHigh = Math.Abs(high - values[i]);
            bool up = toHigh < toLow || (toHigh == toLow && (BitConverter.SingleToUInt32Bits((float)low) >> 16) % 2 == 1);
            Assert.Equal((ushort)(BitConverter.SingleToUInt32Bits((float)(up ? high : low)) >> 16), brains[i]);
        }
    }

    [Theory]
    [InlineData(SafetensorsElement.F16, 65519.99f, 65520f)]
    [InlineData(SafetensorsElement.BF16, 3.3895e38f, 3.4e38f)]
    public void A_value_beyond_the_range_is_refused(SafetensorsElement element, float largest, float beyond)
    {
        string path = _folder.Write("a.safetensors", "old");
        float[] values = new float[1 << 20 | 5];
        values[^2] = -beyond;
        NonFiniteException error =
            Assert.Throws<NonFiniteException>(() => SafetensorsWriter.Write(path, [SafetensorsSource.From("t", values, [values.Length], element)]));
        Assert.Equal("t", error.Where);
        Assert.Contains($"element {values.Length - 2}", error.Message);
        Assert.Equal("old", File.ReadAllText(path));
        values[^2] = -largest;
        SafetensorsWriter.Write(path, [SafetensorsSource.From("t", values, [values.Length], element)]);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.InRange(file.ReadFloats("t")[^2], -beyond, -largest * 0.99f);
    }

    [Fact]
    public void Large_tensors_come_in_parts_and_other_types_are_copied()
    {
        string path = _folder.File("a.safetensors"), copy = _folder.File("b.safetensors");
        float[] values = Values((9 << 20) + 3, 8); // three parts of 16 MB
        byte[] header =
            Encoding.UTF8.GetBytes(
                $"{{\"i\":{{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}},"
                    + $"\"f\":{{\"dtype\":\"F32\",\"shape\":[{values.Length}],\"data_offsets\":[16,{16 + (4L * values.Length)}]}}}}");
        byte[] whole = new byte[16];
        for (int i = 0; i < 16; i++) whole[i] = (byte)(i * 17);
        using (FileStream stream = File.Create(path))
        {
            stream.Write(BitConverter.GetBytes((ulong)header.Length));
            stream.Write(header);
            stream.Write(whole);
            stream.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
        }

        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.True(file.ReadFloats("f").AsSpan().SequenceEqual(values));
        Assert.Contains("I64 [2]; F32, F16 and BF16", Assert.Throws<RbeFileException>(() => file.ReadFloats("i")).Message);
        using MemoryStream bytes = new();
        file.CopyTo("i", bytes);
        Assert.Equal(whole, bytes.ToArray());
        SafetensorsWriter.Write(copy, [SafetensorsSource.From(file, "f"), SafetensorsSource.From(file, "i")]);
        using SafetensorsFile second = SafetensorsFile.Open(copy);
        Assert.Equal(["I64 [2]", $"F32 [{values.Length}]"], second.Tensors.Select(t => t.Describe()));
        Assert.True(second.ReadFloats("f").AsSpan().SequenceEqual(values));
    }

    [Fact]
    public void Wrong_sources_are_refused_and_nothing_is_written()
    {
        string path = _folder.File("a.safetensors");
        SafetensorsSource a = SafetensorsSource.From("a", [1f], [1]);
        Assert.Throws<ShapeMismatchException>(() => SafetensorsSource.From("a", [1f], [2]));
        Assert.Throws<ShapeMismatchException>(() => SafetensorsSource.From("a", [1f], [-1, -1]));
        Assert.Throws<ShapeMismatchException>(() => SafetensorsSource.From("a", () => [1f], [long.MaxValue, 2]));
        Assert.Throws<InvalidSettingException>(() => SafetensorsSource.From("a", [1f], [1], SafetensorsElement.I32));
        Assert.Throws<InvalidSettingException>(() => SafetensorsWriter.Write(path, [a, a]));
        Assert.Throws<InvalidSettingException>(() => SafetensorsWriter.Write(path, [SafetensorsSource.From("__metadata__", [1f], [1])]));
        Assert.Throws<InvalidSettingException>(() => SafetensorsWriter.Write(path, [SafetensorsSource.From("\ud800", [1f], [1])]));
        Assert.Throws<ShapeMismatchException>(() => SafetensorsWriter.Write(path, [a, SafetensorsSource.From("b", () => [1f, 2f], [1])]));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.Path));
    }
}
