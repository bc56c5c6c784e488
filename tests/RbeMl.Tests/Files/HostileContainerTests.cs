using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>Files whose checksums are right but whose content is not: made by hand, or by another program.</summary>
public sealed class HostileContainerTests : IDisposable
{
    private const string NoHash = "\"hash\":\"2d06800538d394c2\""; // XxHash3 of nothing
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("[1]", "lacks metadata")]
    [InlineData("{\"metadata\":1,\"tensors\":[]}", "lacks metadata")]
    [InlineData("{\"metadata\":{}}", "lacks metadata")]
    [InlineData("{\"metadata\":{},\"tensors\":{}}", "lacks metadata")]
    [InlineData("{\"metadata\":{},\"metadata\":{},\"tensors\":[]}", "no JSON")]
    [InlineData("{\"metadata\":{},\"tensors\":[}", "no JSON")]
    [InlineData("{\"metadata\":{},\"tensors\":[5]}", "no object")]
    [InlineData("{\"metadata\":{},\"tensors\":[{}]}", "has no name")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"\\ud800\"}]}", "has no name")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\"}]}", "has no type")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4,\"hash\":\"2d\"}]}", "no checksum")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":-1,\"bytes\":0," + NoHash + "}]}", "no offset")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":0,\"bytes\":1e99," + NoHash + "}]}", "no bytes")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":0,\"bytes\":9223372036854775807,"
        + NoHash + "}]}", "beyond its end")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":9223372036854775807,\"bytes\":0,"
        + NoHash + "}]}", "beyond its end")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4}]}", "no checksum")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":5,\"offset\":0,\"bytes\":0," + NoHash + "}]}", "no shape")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[-1,-4],\"offset\":0,\"bytes\":4," + NoHash + "}]}", "wrong shape")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"f32\",\"shape\":[4],\"offset\":0,\"bytes\":4," + NoHash + "}]}",
        "does not need 4 bytes")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"f32\",\"shape\":[4611686018427387904,4],\"offset\":0,\"bytes\":0,"
        + NoHash + "}]}", "does not need 0 bytes")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[2],\"offset\":1,\"bytes\":2," + NoHash + "}]}", "starts at byte")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4," + NoHash
        + "},{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":64,\"bytes\":0," + NoHash + "}]}", "beyond its end")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[0],\"offset\":0,\"bytes\":0," + NoHash
        + "},{\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4," + NoHash + "}]}", "listed twice")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4," + NoHash
        + "},{\"name\":\"b\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4," + NoHash + "}]}", "starts at byte")]
    [InlineData("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"u8\",\"shape\":[2],\"offset\":0,\"bytes\":2," + NoHash + "}]}", "its tensors end at")]
    public void A_wrong_header_is_refused(string header, string message)
    {
        string path = Craft(Encoding.UTF8.GetBytes(header));
        RbeFileException error = Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose());
        Assert.Contains(message, error.Message);
        Assert.Contains("is damaged", error.Message);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        string deep = new string('[', 100_000) + new string(']', 100_000);
        string path = Craft(Encoding.UTF8.GetBytes($"{{\"metadata\":{{\"a\":{deep}}},\"tensors\":[]}}"));
        Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose());
    }

    [Fact]
    public void A_newer_version_says_so()
    {
        string path = Craft("{}"u8.ToArray(), version: 2);
        Assert.Contains("written by a newer version", Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose()).Message);
    }

    [Theory]
    [InlineData(16u)]
    [InlineData(0x80000000u)]
    public void Features_that_are_not_known_say_so(uint features)
    {
        string path = Craft("{}"u8.ToArray(), features: features);
        string message = Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose()).Message;
        Assert.Contains($"bits 0x{features:X} of its preface", message);
        Assert.Contains("Update RbeMl", message);
    }

    [Fact]
    public void An_element_type_that_is_not_known_says_so()
    {
        string path = Craft("{\"metadata\":{},\"tensors\":[{\"name\":\"a\",\"type\":\"f8\"}]}"u8.ToArray());
        string message = Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose()).Message;
        Assert.Contains("tensor \"a\" has elements of type \"f8\"; this version knows f32, f16", message);
        Assert.Contains("Update RbeMl", message);
    }

    [Fact]
    public void What_a_later_minor_version_adds_is_ignored()
    {
        string hash = XxHash3.HashToUInt64([1, 2, 3, 4]).ToString("x16");
        string header =
            "{\"later\":{\"a\":[1]},\"metadata\":{\"new\":null,\"kind\":\"x\"},"
            + "\"tensors\":[{\"unit\":\"mm\",\"name\":\"a\",\"type\":\"u8\",\"shape\":[4],\"offset\":0,\"bytes\":4,\"hash\":\"" + hash + "\"}]}";
        using RbeContainer file = RbeContainer.Open(Craft(Encoding.UTF8.GetBytes(header)));
        Assert.Equal([1, 2, 3, 4], file.Read<byte>("a", 4));
        Assert.Equal("x", file.Metadata.GetProperty("kind").GetString());
    }

    [Fact]
    public void A_huge_header_is_refused_before_memory_is_taken()
    {
        string path = Craft("{}"u8.ToArray(), headerLength: ulong.MaxValue);
        long before = GC.GetAllocatedBytesForCurrentThread();
        RbeFileException error = Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose());
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20, "a length that was not checked was allocated");
        Assert.Contains("18446744073709551615", error.Message);
    }

    [Theory]
    [InlineData("PK\u0003\u0004 a zip file of some length", "zip")]
    [InlineData("GGUF and more that follows here", "GGUF")]
    [InlineData("\u0010\u0001\0\0\0\0\0\0{\"wte\":{}}  a safetensors file", "safetensors")]
    [InlineData("First Citizen: Before we proceed any further", "looks like text")]
    [InlineData("\u0001\u0002\u0003", "no .rbe file")]
    [InlineData("", "is empty")]
    public void Other_files_are_recognised(string content, string hint)
    {
        string path = _folder.File("other");
        File.WriteAllBytes(path, Encoding.Latin1.GetBytes(content));
        Assert.Contains(hint, Assert.Throws<RbeFileException>(() => RbeContainer.Open(path).Dispose()).Message);
    }

    [Fact]
    public void A_missing_file_or_a_folder_is_a_file_error()
    {
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => RbeContainer.Open(_folder.File("none.rbe"))).Message);
        Assert.Contains("no such folder", Assert.Throws<RbeFileException>(() => RbeContainer.Open(_folder.File("none/none.rbe"))).Message);
        Assert.Contains("folder", Assert.Throws<RbeFileException>(() => RbeContainer.Open(_folder.Path)).Message);
    }

    // Preface, header, gap, four payload bytes.
    private string Craft(byte[] header, uint version = 1, ulong? headerLength = null, uint features = 0)
    {
        byte[] preface = new byte[32];
        RbeContainerWriter.Magic.CopyTo(preface);
        BinaryPrimitives.WriteUInt32LittleEndian(preface.AsSpan(8), version);
        BinaryPrimitives.WriteUInt32LittleEndian(preface.AsSpan(12), features);
        BinaryPrimitives.WriteUInt64LittleEndian(preface.AsSpan(16), headerLength ?? (ulong)header.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(preface.AsSpan(24), RbeContainerWriter.HeaderHash(preface.AsSpan(0, 24), header));
        long end = preface.Length + header.Length;
        byte[] gap = new byte[RbeContainerWriter.Align(end) - end];
        string path = _folder.File("crafted.rbe");
        File.WriteAllBytes(path, [.. preface, .. header, .. gap, 1, 2, 3, 4]);
        return path;
    }
}
