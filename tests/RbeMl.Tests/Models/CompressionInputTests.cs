using RbeMl.Compression;

namespace RbeMl.Tests.Models;

public sealed class CompressionInputTests
{
    [Theory]
    [InlineData("*", "", true)]
    [InlineData("", "a", false)]
    [InlineData("a*c", "abbc", true)]
    [InlineData("a*c", "abbcd", false)]
    [InlineData("*b*b*", "abab", true)]
    [InlineData("a?c", "abc", true)]
    [InlineData("a?c", "ac", false)]
    [InlineData("A", "a", false)]
    [InlineData("h.1.*", "h.11.x", false)]
    public void Patterns_match_whole_names(string pattern, string name, bool matches) => Assert.Equal(matches, NamePatterns.Matches(pattern, name));

    [Fact]
    public void Exclusion_wins()
    {
        NamePatterns names = new(["a*"], ["*z"]);
        Assert.Equal(["ab"], new[] { "ab", "az", "b" }.Where(names.Selects));
        names.RequireMatches(["ab", "z"]);
        Assert.Throws<InvalidSettingException>(() => names.RequireMatches(["ab"]));
    }

    [Fact]
    public void Windows_keep_most_tokens_and_are_spread_evenly()
    {
        int[] stream = [.. Enumerable.Range(0, 100)];
        IReadOnlyList<int[]> all = CalibrationWindows.Cut([stream], 10, 1000), some = CalibrationWindows.Cut([stream], 10, 20);
        Assert.Equal(10, all.Count);
        Assert.Equal(stream[50..60], all[5]);
        Assert.Equal([0, 50], some.Select(w => w[0]));

        // A length that divides a text keeps all of it, but is no reason for windows of a single token.
        Assert.All(CalibrationWindows.Cut([[.. Enumerable.Range(0, 997)]], 10, 1000), window => Assert.Equal(10, window.Length));

        // Beginnings only of sequences that fit the positions: five of 4 keep more than one of 9 or seven of 2.
        int[][] sequences = [.. new[] { 4, 4, 5, 9, 2, 2, 4 }.Select(n => stream[..n])];
        Assert.Equal(Enumerable.Repeat(stream[..4], 5), CalibrationWindows.Cut(sequences, 10, 1000));
        Assert.Throws<TokenException>(() => CalibrationWindows.Cut([[]], 10, 1000));
        Assert.Throws<InvalidSettingException>(() => CalibrationWindows.Cut([stream], 0, 1000));
    }
}
