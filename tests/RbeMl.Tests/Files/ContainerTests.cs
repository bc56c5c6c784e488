using System.Text.Json.Nodes;
using CsCheck;
using RbeMl.Files;
using RbeMl.Layers;

namespace RbeMl.Tests.Files;

public sealed class ContainerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static RbeTensor[] Sample() =>
    [
        RbeTensor.From("weights", new[] { 1.5f, float.NaN, -0f, 3 }, 2, 2),
        RbeTensor.From("halves", new[] { (Half)1, (Half)(-2) }),
        RbeTensor.From("codes", new byte[] { 1, 2, 3 }, 3, 1, 1),
        RbeTensor.From("empty", Array.Empty<int>(), 0, 5),
        RbeTensor.From("places", new ushort[] { 7, 65535, 9 }),
        RbeTensor.From("signed", new sbyte[] { -128, 127 }),
        RbeTensor.From("ids", new[] { int.MinValue, 5 }),
    ];

    private string Write(string name = "a.rbe")
    {
        RbeContainerWriter.Write(_folder.File(name), new JsonObject { ["kind"] = "test", ["unknown to readers"] = new JsonArray(1, 2) }, Sample());
        return _folder.File(name);
    }

    private static void ReadAll(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        Assert.Equal("test", file.Metadata.GetProperty("kind").GetString());
        Assert.Equal([0x3FC00000, BitConverter.SingleToInt32Bits(float.NaN), int.MinValue, 0x40400000],
            file.Read<float>("weights", 2, 2).Select(BitConverter.SingleToInt32Bits));
        Assert.Equal([(Half)1, (Half)(-2)], file.Read<Half>("halves"));
        Assert.Equal([1, 2, 3], file.Read<byte>("codes", 3, 1, 1));
        Assert.Empty(file.Read<int>("empty", 0, 5));
        Assert.Equal([7, 65535, 9], file.Read<ushort>("places", 3));
        Assert.Equal([-128, 127], file.Read<sbyte>("signed"));
        Assert.Equal([int.MinValue, 5], file.Read<int>("ids"));
    }

    [Fact]
    public void What_is_written_is_read_bit_for_bit()
    {
        string path = Write();
        ReadAll(path);
        using RbeContainer file = RbeContainer.Open(path);
        file.Verify();
        Assert.All(file.Tensors, tensor => Assert.Equal(0, tensor.Offset % 64));
        RbeTensorInfo last = file.Tensors[^1];
        Assert.Equal(new FileInfo(path).Length, last.Offset + last.ByteLength);
    }

    [Fact]
    public void Parameters_go_out_and_in()
    {
        string path = _folder.File("parameters.rbe");
        float[] values = [1, 2, 3, 4, 5, 6], back = new float[6];
        using ParameterVector<float> parameters = new();
        parameters.Add("a", ParameterKind.Bias, values);
        parameters.Freeze();
        RbeTensor tensor = RbeTensor.From(parameters, parameters.Slices[0]);
        RbeContainerWriter.Write(path, [], [tensor]);
        using RbeContainer file = RbeContainer.Open(path);
        back = file.Read<float>("a", back.Length);
        Assert.Equal(values, back);
        Assert.Throws<RbeFileException>(() => file.Read<float>("a", 5));
        parameters.Dispose();
        Assert.Throws<ObjectDisposedException>(() => RbeContainerWriter.Write(path, [], [tensor]));
    }

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        byte[] bytes = File.ReadAllBytes(Write());
        string path = _folder.File("flipped.rbe");
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(path, bytes);
            Assert.Throws<RbeFileException>(() => ReadAll(path));
            Assert.Throws<RbeFileException>(() => Verify(path));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Every_cut_and_every_appended_byte_is_noticed()
    {
        byte[] bytes = File.ReadAllBytes(Write());
        string path = _folder.File("cut.rbe");
        for (int length = 0; length < bytes.Length; length++)
        {
            File.WriteAllBytes(path, bytes[..length]);
            Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose());
        }

        File.WriteAllBytes(path, [.. bytes, 0]);
        Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose());
    }

    [Fact]
    public void Random_damage_never_succeeds_and_never_fails_otherwise()
    {
        byte[] bytes = File.ReadAllBytes(Write());
        string path = _folder.File("damaged.rbe");
        Gen.Select(Gen.Int[0, bytes.Length - 1], Gen.Byte.Array[1, 40], Gen.Int[0, 2]).Sample((place, noise, kind) =>
        {
            byte[] damaged = kind switch
            {
                0 => [.. bytes[..place], .. noise, .. bytes[Math.Min(place + noise.Length, bytes.Length)..]],
                1 => [.. bytes[..place], .. noise, .. bytes[place..]],
                _ => [.. bytes[..place], .. bytes[Math.Min(place + noise.Length, bytes.Length)..]],
            };
            if (damaged.AsSpan().SequenceEqual(bytes)) return;
            File.WriteAllBytes(path, damaged);
            Assert.Throws<RbeFileException>(() => Verify(path));
        }, iter: 2000, threads: 1, seed: "0000KOIPopZ1");
    }

    [Fact]
    public void Wrong_requests_are_file_errors_that_name_the_tensor()
    {
        using RbeContainer file = RbeContainer.Open(Write());
        Assert.Contains("\"nothing\" is missing", Assert.Throws<RbeFileException>(() => file.Read<float>("nothing")).Message);
        Assert.Contains("\"weights\": expected i32, the file has f32 [2, 2]", Assert.Throws<RbeFileException>(() => file.Read<int>("weights")).Message);
        Assert.Contains("\"weights\": expected f32 [4], the file has f32 [2, 2]",
            Assert.Throws<RbeFileException>(() => file.Read<float>("weights", 4)).Message);
    }

    [Fact]
    public void Wrong_tensors_are_refused_when_written()
    {
        Assert.Throws<ShapeMismatchException>(() => RbeTensor.From("a", new float[3], 2, 2));
        string path = _folder.File("twice.rbe");
        RbeFileException error =
            Assert.Throws<RbeFileException>(() => RbeContainerWriter.Write(path, [], [RbeTensor.From("a", new float[1]), RbeTensor.From("a", new float[1])]));
        Assert.Contains("\"a\" is given twice", error.Message);
        Assert.False(File.Exists(path));
    }

    private static void Verify(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        file.Verify();
    }
}
