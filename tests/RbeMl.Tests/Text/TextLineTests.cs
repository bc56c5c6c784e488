using System.Buffers;
using System.Text;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

/// <summary>Lines of a text that is read in pieces are those of the text in one.</summary>
public class TextLineTests
{
    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("a")]
    [InlineData("a\r\nb\rc\n\n\r\r\nd")]
    [InlineData("a\n")]
    [InlineData("é\u2028\u0085\n\tz\r")]
    public void Lines_end_at_line_feeds_and_carriage_returns(string text) => Same(text);

    /// <summary>Lines of any length, whose ends lie anywhere, also on both sides of a border between two pieces.</summary>
    [Fact]
    public void Lines_may_be_longer_than_pieces()
    {
        Random random = new(1);
        string[] ends = ["\n", "\r\n", "\r"];
        for (int i = 0; i < 8; i++)
        {
            StringBuilder text = new();
            while (text.Length < 400_000)
            {
                text.Append((char)('a' + random.Next(26)), random.Next(3) == 0 ? random.Next(150_000) : random.Next(40)).Append(ends[random.Next(3)]);
            }

            Same(text.ToString());
        }

        Same(string.Concat(Enumerable.Repeat("\U0001F600é", 50_000)) + "\n\U0001F600"); // no half of a pair on either side of a border
        foreach (int before in (int[])[65_534, 65_535, 65_536, 65_537]) Same(new string('x', before) + "\r\n" + new string('y', before) + "\r\nz");
    }

    private static void Same(string text)
    {
        using TextFileReader reader = new(new MemoryStream(Encoding.UTF8.GetBytes(text)), "x");
        using TextFileReader other = new(new MemoryStream(Encoding.UTF8.GetBytes(text)), "x");
        using StringReader expected = new(text);
        ArrayBufferWriter<byte> bytes = new();
        while (expected.ReadLine() is { } line)
        {
            Assert.Equal(line, reader.ReadLine());
            Assert.True(other.ReadLine(bytes));
            Assert.Equal(line, Encoding.UTF8.GetString(bytes.WrittenSpan));
        }

        Assert.Null(reader.ReadLine());
        Assert.False(other.ReadLine(bytes));
        Assert.Equal(0, bytes.WrittenCount);
    }
}
