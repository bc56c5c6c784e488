using System.Diagnostics;
using System.Text;
using System.Text.Unicode;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Text;

/// <summary>Texts are UTF-8, or the reader is told where they are not.</summary>
public sealed class TextFileTests : IDisposable
{
    private const string Sample = "Grüße aus Köln: 2 × 3 = 6 €\r\n日本語 😀 end\n";
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Write(byte[] bytes, string name = "text.txt")
    {
        string path = _folder.File(name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    [Theory]
    [InlineData("utf-8")]
    [InlineData("utf-16")]
    [InlineData("utf-16LE")]
    [InlineData("UTF-16BE")]
    [InlineData("utf-32")]
    [InlineData("gb18030")]
    public void Every_encoding_reads_what_it_wrote_with_and_without_a_mark(string name)
    {
        Encoding encoding = CodePagesEncodingProvider.Instance.GetEncoding(name) ?? Encoding.GetEncoding(name);
        string text = string.Concat(Enumerable.Repeat(Sample, 5000)); // pieces end inside characters
        TextOptions options = new() { Encoding = name };
        Assert.Equal(text, TextFile.ReadAll(Write(encoding.GetBytes(text)), options));
        Assert.Equal(text, TextFile.ReadAll(Write([.. encoding.GetPreamble(), .. encoding.GetBytes(text)]), options));
        Assert.Equal(text, TextFile.ReadAll(Write([.. encoding.GetPreamble(), .. encoding.GetBytes(text)]), options with { Lossy = true }));
    }

    [Theory]
    [InlineData("latin1", "Grüße × ÿ")]
    [InlineData("windows-1252", "Grüße “€”")]
    [InlineData("koi8-r", "Привет")]
    [InlineData("shift_jis", "日本語")]
    public void Older_encodings(string name, string text)
    {
        Encoding encoding = CodePagesEncodingProvider.Instance.GetEncoding(name) ?? Encoding.GetEncoding(name);
        string path = Write(encoding.GetBytes(text));
        Assert.Equal(text, TextFile.ReadAll(path, new TextOptions { Encoding = name }));
        Assert.Contains("is not UTF-8", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(path)).Message);
    }

    [Fact]
    public void The_mark_decides_the_order_of_utf_16()
    {
        byte[] big = [0xFE, 0xFF, .. Encoding.BigEndianUnicode.GetBytes(Sample)];
        Assert.Equal(Sample, TextFile.ReadAll(Write(big), new TextOptions { Encoding = "utf-16" }));
        Assert.Contains("byte 0 starts the mark of UTF-16BE text, not UTF-16LE",
            Assert.Throws<RbeFileException>(() => TextFile.ReadAll(Write(big), new TextOptions { Encoding = "utf-16le" })).Message);
    }

    [Theory]
    [InlineData(new byte[] { 0x41, 0xE9, 0x42 }, "byte 1 (E9) is not UTF-8")]
    [InlineData(new byte[] { 0x41, 0x42, 0xE2, 0x82 }, "byte 2 (E2 82) is not UTF-8")]
    [InlineData(new byte[] { 0xC0, 0x80 }, "byte 0 (C0) is not UTF-8")]
    [InlineData(new byte[] { 0x41, 0xED, 0xA0, 0x80 }, "byte 1 (ED) is not UTF-8")]
    [InlineData(new byte[] { 0xEF, 0xBB, 0xBF, 0x41, 0xFF }, "byte 4 (FF) is not UTF-8")]
    [InlineData(new byte[] { 0xFF, 0xFE, 0x41, 0 }, "byte 0 starts the mark of UTF-16 text, not UTF-8")]
    [InlineData(new byte[] { 0xFE, 0xFF, 0, 0x41 }, "--encoding utf-16be")]
    [InlineData(new byte[] { 0xFF, 0xFE, 0, 0, 0x41, 0, 0, 0 }, "the mark of UTF-32 text")]
    [InlineData(new byte[] { 0, 0, 0xFE, 0xFF, 0, 0, 0, 0x41 }, "the mark of UTF-32BE text")]
    [InlineData(new byte[] { 0x41, 0, 0x42, 0, 0x43, 0 }, "byte 1 is 0, it looks like UTF-16 without a mark. Convert it to UTF-8, or "
        + "read it as it is with --encoding utf-16le")]
    [InlineData(new byte[] { 0, 0x41, 0, 0x42, 0, 0x43 }, "byte 0 is 0, it looks like UTF-16 without a mark. Convert it to UTF-8, or "
        + "read it as it is with --encoding utf-16be")]
    [InlineData(new byte[] { 0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "byte 7 is 0, which text does not have: it looks like binary data")]
    [InlineData(new byte[] { 0x41, 0xE9, 0, 0x41 }, "byte 1 (E9) is not UTF-8")]
    public void Other_bytes_are_refused_with_their_place_wherever_text_is_read(byte[] bytes, string message)
    {
        string path = Write(bytes);
        foreach (Action read in new Action[]
        {
            () => TextFile.ReadAll(path),
            () => TextFile.ReadLines(path).ToList(),
            () => TextFile.Decode(bytes, path),
            () => TextSource.OfFiles([path]).Pieces().Count(),
            () => TokenFile.ReadSequences(path, null),
            () => Gpt2TokenizerFiles.Load(_folder.Write("vocab.json", "{}"), path),
        })
        {
            RbeFileException error = Assert.Throws<RbeFileException>(read);
            Assert.StartsWith(path + ": ", error.Message);
            Assert.Contains(message, error.Message);
        }

        _ = TextFile.ReadAll(path, new TextOptions { Lossy = true });
    }

    [Fact]
    public void The_place_of_the_first_bad_byte_is_exact_in_long_texts()
    {
        Random random = new(7);
        for (int round = 0; round < 60; round++)
        {
            StringBuilder text = new();
            int length = random.Next(1, 200_000);
            while (text.Length < length) text.Append(random.Next(4) switch { 0 => "a", 1 => "é", 2 => "€", _ => "😀" });
            byte[] bytes = Encoding.UTF8.GetBytes(text.ToString());
            int place = random.Next(bytes.Length);
            byte[] broken = [.. bytes[..place], 0xFF, .. bytes[place..]];
            int expected = place; // a cut character is bad from its own start
            while (!Utf8.IsValid(broken.AsSpan(0, expected))) expected--;
            Assert.Contains($": byte {expected} (",
                Assert.Throws<RbeFileException>(() => TextFile.ReadAll(new TextFileReader(new Drops(broken, random.Next(1, 5000)), "x"))).Message);
            Assert.Contains('\uFFFD', TextFile.ReadAll(new TextFileReader(new Drops(broken, random.Next(1, 5000)), "x", new TextOptions { Lossy = true })));
            Assert.Equal(text.ToString(), TextFile.ReadAll(new TextFileReader(new Drops(bytes, random.Next(1, 5000)), "x")));
        }
    }

    [Theory]
    [InlineData("utf-16le")]
    [InlineData("utf-16be")]
    public void The_place_of_half_a_pair_is_exact_in_utf_16(string name)
    {
        Encoding encoding = Encoding.GetEncoding(name);
        Random random = new(8);
        for (int round = 0; round < 40; round++)
        {
            char[] text = [.. Enumerable.Range(0, random.Next(1, 60_000)).Select(i => (char)random.Next(32, 127))];
            byte[] bytes = encoding.GetBytes(text);
            int place = random.Next(text.Length);
            int half = random.Next(0xD800, 0xE000);
            (bytes[2 * place], bytes[2 * place + 1]) = name == "utf-16le" ? ((byte)half, (byte)(half >> 8)) : ((byte)(half >> 8), (byte)half);
            RbeFileException error =
                Assert.Throws<RbeFileException>(() =>
                    TextFile.ReadAll(new TextFileReader(new Drops(bytes, random.Next(1, 5000)), "x", new TextOptions { Encoding = name })));
            Assert.Contains($": byte {2 * place} (", error.Message);
        }
    }

    [Fact]
    public void Lossy_reads_everything()
    {
        Assert.Equal("A\uFFFDB", TextFile.ReadAll(Write([0x41, 0xE9, 0x42]), new TextOptions { Lossy = true }));
        Assert.Equal("A\0B", TextFile.ReadAll(Write([0x41, 0, 0x42]), new TextOptions { Lossy = true }));
        Assert.Equal("\uFFFDA", TextFile.ReadAll(Write([0x00, 0xD8, 0x41, 0]), new TextOptions { Encoding = "utf-16le", Lossy = true }));
        Assert.Contains("byte 0 (00 D8) is not UTF-16LE",
            Assert.Throws<RbeFileException>(() => TextFile.ReadAll(Write([0x00, 0xD8, 0x41, 0]), new TextOptions { Encoding = "utf-16le" })).Message);
    }

    [Fact]
    public void Unknown_encodings_are_refused_before_the_file()
        => Assert.Contains("encoding = klingon: there is no such encoding",
            Assert.Throws<InvalidSettingException>(() => TextFile.ReadAll(_folder.File("none"), new TextOptions { Encoding = "klingon" })).Message);

    [Fact]
    public void Files_without_text_folders_and_devices()
    {
        Assert.Equal("", TextFile.ReadAll(Write([])));
        Assert.Equal("", TextFile.ReadAll(Write([0xEF, 0xBB, 0xBF])));
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(_folder.File("none"))).Message);
        Assert.Contains("is a folder", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(_folder.Path)).Message);
        if (OperatingSystem.IsWindows()) return;
        foreach (string device in new[] { "/dev/zero", "/dev/urandom", "/dev/null", "/dev/full" })
        {
            Assert.Contains(device + ": is a device", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(device)).Message);
        }

        string link = _folder.File("link");
        File.CreateSymbolicLink(link, "/dev/zero");
        Assert.Contains("is a device", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(link)).Message);
    }

    [Fact]
    public async Task A_named_pipe_is_read_to_its_end()
    {
        if (OperatingSystem.IsWindows()) return;
        string pipe = _folder.File("pipe"), text = string.Concat(Enumerable.Repeat(Sample, 5000));
        using (Process make = Process.Start("mkfifo", [pipe])) await make.WaitForExitAsync();
        Task writer = Task.Run(() => File.WriteAllText(pipe, text));
        Assert.Equal(text, await Task.Run(() => TextFile.ReadAll(pipe)));
        await writer;
    }

    [Fact]
    public void A_text_longer_than_allowed_names_the_limit()
        => Assert.Contains("more than 9 characters", Assert.Throws<RbeFileException>(() => TextFile.ReadAll(Write("0123456789"u8.ToArray()), most: 9)).Message);

    [Fact]
    public void Lines_end_in_every_way()
        => Assert.Equal(["a", "b", "", "c", "d"], TextFile.ReadLines(Write("\uFEFFa\r\nb\r\rc\nd"u8.ToArray())));

    /// <summary>A stream that gives a few bytes at a time, as a pipe does.</summary>
    private sealed class Drops(byte[] bytes, int most) : MemoryStream(bytes, writable: false)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, most)]);
    }
}
