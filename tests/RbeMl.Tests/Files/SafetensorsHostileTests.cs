using System.Text;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>Safetensors files that are damaged, cut, or made to mislead.</summary>
public sealed class SafetensorsHostileTests : IDisposable
{
    private const long Slack = 1 << 20; // headers here have a few hundred bytes; nothing may cost a multiple of what they claim
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("[]", "no JSON object")]
    [InlineData("{", "no JSON")]
    [InlineData("{\"a\":5}", "described by no object")]
    [InlineData("{\"__metadata__\":{\"a\":5}}", "is no text")]
    [InlineData("{\"__metadata__\":5}", "is no object")]
    [InlineData("{\"a\":{}}", "no dtype")]
    [InlineData("{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "has no name")]
    [InlineData("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", "unknown dtype \"F33\"")]
    [InlineData("{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "unknown dtype")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", "no shape")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "no data_offsets")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}", "no data_offsets")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "no data_offsets")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", "no whole number")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}", "no whole number")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "no whole number")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]}}", "no whole number")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,8]}}", "does not take 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", "does not take 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967296,4294967296],\"data_offsets\":[0,8]}}", "does not take 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9223372036854775807]}}", "which are 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "which are 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "F32 [3], which does not take 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F4\",\"shape\":[15],\"data_offsets\":[0,8]}}", "F4 [15], which does not take 8 bytes")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "its tensors end at")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "belong to no tensor")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "within the one before")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "within the one before")]
    [InlineData("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "no JSON")]
    [InlineData("{\"\\ud800\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "no JSON")]
    public void A_wrong_header_is_refused(string header, string message)
    {
        string path = Craft(Encoding.UTF8.GetBytes(header));
        long before = GC.GetAllocatedBytesForCurrentThread();
        RbeFileException error = Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(path).Dispose());
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < Slack, "a length that was not checked was allocated");
        Assert.Contains(message, error.Message);
        Assert.StartsWith(path, error.Message);
    }

    [Theory]
    [InlineData(ulong.MaxValue, "the most that is read")]
    [InlineData((16ul << 20) + 1, "the most that is read")]
    [InlineData(16ul << 20, "but only")]
    [InlineData(0ul, "no JSON")]
    public void A_wrong_header_length_is_refused_before_memory_is_taken(ulong length, string message)
    {
        string path = Craft("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"u8.ToArray(), length);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains(message, Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(path).Dispose()).Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < Slack, "a length that was not checked was allocated");
    }

    [Fact]
    public void Missing_files_folders_and_short_files_are_file_errors()
    {
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(_folder.File("none"))).Message);
        Assert.Contains("no such folder", Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(_folder.File("none/none"))).Message);
        Assert.Contains("is a folder", Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(_folder.Path)).Message);
        Assert.Contains("7 bytes", Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(_folder.Write("short", "1234567"))).Message);
        Assert.Throws<RbeFileException>(() => SafetensorsFile.Open(_folder.Write("deep", "\u0040\u001f\0\0\0\0\0\0" + new string('[', 8000))));
    }

    [Fact]
    public void A_file_that_shrinks_while_open_is_an_error()
    {
        if (OperatingSystem.IsWindows()) return; // which refuses to shorten it
        string path = _folder.File("a.safetensors");
        SafetensorsWriter.Write(path, [SafetensorsSource.From("a", new float[4096], [4096])]);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        using (FileStream cut = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) cut.SetLength(100);
        Assert.Contains("shortened", Assert.Throws<RbeFileException>(() => file.ReadFloats("a")).Message);
    }

    [Fact]
    public void Flipped_bits_and_cuts_are_noticed_or_leave_a_valid_file()
    {
        string path = _folder.File("a.safetensors");
        SafetensorsSource[] sources =
        [
            SafetensorsSource.From("weight", [.. Enumerable.Range(0, 12).Select(i => i * 0.5f)], [3, 4]),
                SafetensorsSource.From("bias", [1f, 2f, 3f], [3], SafetensorsElement.F16),
            SafetensorsSource.From("scale", [1f, 2f], [2], SafetensorsElement.BF16),
        ];
        SafetensorsWriter.Write(path, sources, new Dictionary<string, string> { ["format"] = "pt" });
        byte[] sound = File.ReadAllBytes(path);
        int refused = 0, read = 0;
        Mutations.Each(sound, 4000, 11, bytes =>
        {
            File.WriteAllBytes(path, bytes);
            try
            {
                using SafetensorsFile file = SafetensorsFile.Open(path);
                long total = 0;
                foreach (SafetensorsTensor tensor in file.Tensors)
                {
                    Assert.InRange(tensor.ByteLength, 0, bytes.Length);
                    total += tensor.ByteLength;
                    if (SafetensorsElements.IsFloat(tensor.Element)) Assert.Equal(tensor.Count, file.ReadFloats(tensor.Name).Length);
                    else file.CopyTo(tensor.Name, Stream.Null);
                }

                Assert.InRange(total, 0, bytes.Length - 8);
                read++;
            }
            catch (RbeException)
            {
                refused++;
            }
        });
        Assert.InRange(refused, 1000, 3990);
        Assert.InRange(read, 10, 3000);
    }

    // Length, header, eight bytes of data.
    private string Craft(byte[] header, ulong? length = null)
    {
        string path = _folder.File("crafted.safetensors");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes(length ?? (ulong)header.Length), .. header, 1, 2, 3, 4, 5, 6, 7, 8]);
        return path;
    }
}
