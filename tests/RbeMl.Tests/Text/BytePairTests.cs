using System.Text;
using CsCheck;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

public sealed class BytePairTests
{
    private static List<string> Split(string text)
    {
        List<string> words = [];
        WordSplitter splitter = new(text);
        while (splitter.MoveNext()) words.Add(splitter.Current.ToString());
        return words;
    }

    [Theory]
    [InlineData("Hello world", "Hello| world")]
    [InlineData("it's 12 cats' hats", "it|'s| 12| cats|'| hats")]
    [InlineData("a  b\n\n c", "a| | b|\n\n| c")]
    [InlineData("end.\nNext", "end|.|\n|Next")]
    [InlineData("x   ", "x|   ")]
    [InlineData(" ...?", " ...?")]
    [InlineData("naïve añ", "naïve| añ")]
    public void Words_are_cut_as_gpt2_does(string text, string expected) => Assert.Equal(expected.Split('|'), Split(text));

    [Fact]
    public void Words_make_up_the_text_and_cut_no_character()
    {
        Gen.String[Gen.Int[0, 10].Select(i => "aB \n's1.é\t-"[i]), 0, 200].Sample(
            text =>
            {
                List<string> words = Split(text);
                Assert.Equal(text, string.Concat(words));
                Assert.All(words, word => Assert.InRange(word.Length, 1, WordSplitter.Longest));
            },
            iter: 1000,
            threads: 1);
        string long1 = "a" + string.Concat(Enumerable.Repeat("😀", 200));
        Assert.Equal(long1, string.Concat(Split(long1)));
        Assert.All(Split(long1), word => Assert.Equal(word, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(word))));
        Assert.Equal(10, Split(new string('x', 640)).Count);
    }

    // The example of Sennrich et al. (2016), counted by hand: "es" and "st" both occur 9 times, e < s so (e, s) goes first.
    [Fact]
    public void Merges_are_the_most_frequent_pairs_ties_by_id()
    {
        string text = string.Concat(Enumerable.Repeat("low\n", 5)) + string.Concat(Enumerable.Repeat("lower\n", 2))
            + string.Concat(Enumerable.Repeat("newest\n", 6)) + string.Concat(Enumerable.Repeat("widest\n", 3));
        BytePairTokenizer tokenizer = BytePairTokenizer.Train(text, 260);
        ITokenizer decoder = tokenizer;
        Assert.Equal(["es", "est", "lo", "low"], Enumerable.Range(256, 4).Select(id => decoder.Decode([id])));
    }

    [Fact]
    public void Encoding_applies_merges_in_their_order()
    {
        BytePairTokenizer tokenizer = new([new('b', 'c'), new('a', 'b'), new('a', 256)]);
        Assert.Equal([258], tokenizer.Encode("abc")); // bc first although ab comes first in the text
        Assert.Equal([257], tokenizer.Encode("ab"));
        Assert.Equal([257, 258], tokenizer.Encode("ababc"));
    }

    [Fact]
    public void Learning_agrees_with_counting_everything_again_each_time()
    {
        Random random = new(5);
        string text = string.Concat(Enumerable.Range(0, 3000).Select(_ => "abcab \n"[random.Next(7)]));
        Assert.Equal(LearnSlowly(text, 60), BytePairTokenizer.Train(text, 316).Merges);
    }

    [Fact]
    public void Every_text_round_trips_even_one_never_seen()
    {
        ITokenizer tokenizer = BytePairTokenizer.Train("some words, some more words", 270);
        Gen.String.Sample(
            text =>
            {
                string valid = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
                Assert.Equal(valid, tokenizer.Decode(tokenizer.Encode(valid)));
            },
            iter: 1000,
            threads: 1);
    }

    [Fact]
    public void Vocabulary_is_bounded_and_stops_where_nothing_repeats()
    {
        Assert.Equal(256, BytePairTokenizer.Train("abcdefg", 1000).Vocabulary);
        Assert.Throws<InvalidSettingException>(() => BytePairTokenizer.Train("text", 255));
        Assert.Throws<InvalidSettingException>(() => BytePairTokenizer.Train("text", 65537));
    }

    private static List<TokenPair> LearnSlowly(string text, int limit)
    {
        List<List<int>> words = [.. Split(text).Select(word => Encoding.UTF8.GetBytes(word).Select(b => (int)b).ToList())];
        List<TokenPair> merges = [];
        while (merges.Count < limit)
        {
            var best = words.SelectMany(word => word.Zip(word.Skip(1), (a, b) => new TokenPair(a, b)))
                .GroupBy(pair => pair).Select(group => (Pair: group.Key, Count: group.Count()))
                .OrderByDescending(g => g.Count).ThenBy(g => g.Pair.Left).ThenBy(g => g.Pair.Right).FirstOrDefault();
            if (best.Count < 2) break;
            foreach (List<int> word in words)
            {
                for (int i = 0; i + 1 < word.Count; i++)
                {
                    if (word[i] != best.Pair.Left || word[i + 1] != best.Pair.Right) continue;
                    word[i] = 256 + merges.Count;
                    word.RemoveAt(i + 1);
                }
            }

            merges.Add(best.Pair);
        }

        return merges;
    }
}
