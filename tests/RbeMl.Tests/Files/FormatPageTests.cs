using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Files;

namespace RbeMl.Tests.Files;

/// <summary>Keeps FORMAT.md true: its example is a file as it is written, and every key of a header is explained.</summary>
public sealed class FormatPageTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_example_is_what_is_written()
    {
        string path = _folder.File("example.rbe");
        RbeContainerWriter.Write(path, new JsonObject { ["kind"] = "example" },
            [RbeTensor.From("a", new[] { 1f, -2.5f }, 2), RbeTensor.From("b", new byte[] { 0x88, 0xC6, 0xFA }, 1, 3)]);
        string dump = Dump(File.ReadAllBytes(path));
        Assert.True(Page.Contains($"```hexdump\n{dump}```\n", StringComparison.Ordinal), $"The example in FORMAT.md should be\n{dump}");
    }

    [Fact]
    public void The_codes_of_the_example_are_0_to_7_in_three_bits()
    {
        byte[] codes = new byte[8];
        RbeMl.Codec.BitPacking.Unpack([0x88, 0xC6, 0xFA], 3, codes);
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], codes);
    }

    [Theory]
    [InlineData("v1.rbe")]
    [InlineData("v1-trellis.rbe")]
    public void Every_key_and_every_part_is_explained(string fixture)
    {
        string path = _folder.File("v1.rbe");
        File.WriteAllBytes(path, FixtureTests.Read(fixture));
        using RbeContainer file = RbeContainer.Open(path);
        foreach (string key in Keys(file.Metadata)
            .Concat(["metadata", "tensors", "name", "type", "shape", "offset", "bytes", "hash", "dense", "tensor", "report", "relativeError"]))
        {
            Assert.True(Page.Contains($"`{key}`", StringComparison.Ordinal), $"FORMAT.md does not explain the key `{key}`.");
        }

        foreach (string part in file.Tensors.Select(t => t.Name.Split('.')[^1]).Append("tileErrors").Distinct())
        {
            Assert.True(Page.Contains($".{part}`", StringComparison.Ordinal), $"FORMAT.md does not explain the tensor {part}.");
        }
    }

    private static string Page => Encoding.UTF8.GetString(FixtureTests.Read("FORMAT.md")).ReplaceLineEndings("\n");

    private static IEnumerable<string> Keys(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Object => json.EnumerateObject().SelectMany(p => Keys(p.Value).Append(p.Name)),
        JsonValueKind.Array => json.EnumerateArray().SelectMany(Keys),
        _ => [],
    };

    // Sixteen bytes a line: place, bytes, and those that are printable ASCII; lines of zeros alone are one line of "*".
    private static string Dump(byte[] bytes)
    {
        StringBuilder text = new();
        bool zeros = false;
        for (int at = 0; at < bytes.Length; at += 16)
        {
            byte[] line = bytes[at..Math.Min(at + 16, bytes.Length)];
            bool empty = line.All(b => b == 0);
            if (empty && !zeros) text.Append("*\n");
            zeros = empty;
            if (empty) continue;
            string hex = string.Join(' ', line.Select(b => b.ToString("x2", CultureInfo.InvariantCulture)));
            text.Append(CultureInfo.InvariantCulture, $"{at:x4}  {hex,-47}  {string.Concat(line.Select(b => b is >= 32 and < 127 ? (char)b : '.'))}\n");
        }

        return text.ToString();
    }
}
