using RbeMl.Text;

namespace RbeMl.Tests.Text;

public class StopMatcherTests
{
    [Theory]
    [InlineData("one two STOP three", "one two ", "STOP")]
    [InlineData("one two STO", "one two STO", "STOP")]
    [InlineData("aab aac", "aab ", "aac")]
    [InlineData("abcabcabd", "abc", "abcabd")]
    [InlineData("xabcd", "xa", "abcd", "bc")] // the first to be complete
    [InlineData("xabc", "x", "abc", "bc")] // of two that end together the longer one
    [InlineData("STOP", "", "STOP")]
    [InlineData("caf\u00e9\r\n\ud83d\ude00!", "caf\u00e9\r\n", "\ud83d\ude00")]
    [InlineData("nothing", "nothing")]
    public void The_text_ends_before_a_stop_string_however_it_is_divided(string text, string expected, params string[] stops)
    {
        for (int size = 1; size <= text.Length; size++)
        {
            StopMatcher matcher = new(stops);
            string given = string.Concat(text.Chunk(size).Select(part => matcher.Push(new string(part)))) + matcher.Flush();
            Assert.Equal(expected, given);
            Assert.Equal(expected != text, matcher.Found);
        }
    }

    [Fact]
    public void What_cannot_begin_a_stop_string_is_given_at_once()
    {
        StopMatcher matcher = new(["STOP"]);
        Assert.Equal("one ", matcher.Push("one S"));
        Assert.Equal("", matcher.Push("T"));
        Assert.Equal("STA", matcher.Push("A"));
        Assert.Equal("", matcher.Push("S"));
        Assert.Equal("S", matcher.Flush());
        Assert.False(matcher.Found);
    }
}
