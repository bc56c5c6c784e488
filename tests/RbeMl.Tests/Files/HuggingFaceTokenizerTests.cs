using System.Text;
using RbeMl.Files;
using RbeMl.Tests.Support;
using RbeMl.Text;

namespace RbeMl.Tests.Files;

public sealed class HuggingFaceTokenizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Files_are_written_and_read()
    {
        Assert.Null(Gpt2TokenizerFiles.LoadFolder(_folder.Path));
        BytePairTokenizer learned = BytePairTokenizer.Train("the cat sat on the mat, the cat", 262);
        Gpt2TokenizerFiles.Save(_folder.Path, learned);
        Gpt2Tokenizer read = Gpt2TokenizerFiles.LoadFolder(_folder.Path)!;
        Assert.Equal(learned.Encode("the cat"), read.Encode("the cat"));
        File.Delete(_folder.File(Gpt2TokenizerFiles.JsonName));
        Assert.Equal(read.Merges, Gpt2TokenizerFiles.LoadFolder(_folder.Path)!.Merges);
        File.Delete(_folder.File(Gpt2TokenizerFiles.MergesName));
        Assert.Contains("no such file", Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
        File.WriteAllBytes(_folder.File(Gpt2TokenizerFiles.MergesName), [0xFF, 0xFF]);
        Assert.Contains("is not UTF-8", Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
    }

    [Fact]
    public void Damaged_files_are_refused_or_still_a_tokenizer()
    {
        BytePairTokenizer learned = BytePairTokenizer.Train("the cat sat on the mat, the cat", 262);
        foreach (string name in new[] { Gpt2TokenizerFiles.JsonName, Gpt2TokenizerFiles.VocabularyName, Gpt2TokenizerFiles.MergesName })
        {
            Gpt2TokenizerFiles.Save(_folder.Path, learned);
            if (name != Gpt2TokenizerFiles.JsonName) File.Delete(_folder.File(Gpt2TokenizerFiles.JsonName));
            int refused = 0;
            Mutations.Each(File.ReadAllBytes(_folder.File(name)), 1000, 21, bytes =>
            {
                File.WriteAllBytes(_folder.File(name), bytes);
                try
                {
                    ITokenizer tokenizer = Gpt2TokenizerFiles.LoadFolder(_folder.Path)!;
                    Assert.InRange(tokenizer.Vocabulary, 256, Gpt2Tokenizer.MostTokens);
                    Assert.Equal("the cat\u00e9", tokenizer.Decode(tokenizer.Encode("the cat\u00e9")));
                }
                catch (RbeException)
                {
                    refused++;
                }
            });
            Assert.InRange(refused, 200, 999);
        }
    }

    [SharedDataFact]
    public void Gpt2s_own_tokenizer_gives_its_ids()
    {
        Gpt2Tokenizer tokenizer =
            Gpt2TokenizerFiles.Load(SharedData.PathOf("gpt2-tokenizer", "encoder.json"), SharedData.PathOf("gpt2-tokenizer", "vocab.bpe"));
        Assert.Equal(50257, tokenizer.Vocabulary);
        Assert.Equal([15496, 995], tokenizer.Encode("Hello world"));
        Assert.Equal(50256, Assert.Single(tokenizer.Special).Value);

        // The ranks of the same tokens from another source: joining the neighbours whose union has the lowest rank is an encoder of its own.
        Dictionary<string, int> ranks = [];
        foreach (string line in File.ReadLines(SharedData.PathOf("gpt2-tokenizer", "gpt2.tiktoken")))
        {
            string[] parts = line.Split(' ');
            byte[] bytes = Convert.FromBase64String(parts[0]);
            ranks.Add(Encoding.Latin1.GetString(bytes), int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture));
            Assert.Equal(bytes, tokenizer.Bytes(ranks[Encoding.Latin1.GetString(bytes)]));
        }

        string text = File.ReadAllText(SharedData.PathOf("text", "tinyshakespeare.txt"))[..60_000]
            + " It's we'll  12\u00bd\u00b2 na\u00efve\u00a0\u4e16\u754c \ud83d\ude00\ud83d\ude00 \ud835\udc00\ud835\udc01a \r\n\t x   "
            + new string('-', 150) + new string(' ', 90) + "end" + new string('\n', 70);
        List<int> expected = [];
        foreach (string piece in Pieces(text))
        {
            List<string> tokens = [.. Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(piece)).Select(c => c.ToString())];
            while (true)
            {
                int best = -1, lowest = int.MaxValue;
                for (int i = 0; i + 1 < tokens.Count; i++)
                {
                    if (ranks.TryGetValue(tokens[i] + tokens[i + 1], out int rank) && rank < lowest) (best, lowest) = (i, rank);
                }

                if (best < 0) break;
                tokens[best] += tokens[best + 1];
                tokens.RemoveAt(best + 1);
            }

            expected.AddRange(tokens.Select(token => ranks[token]));
        }

        Assert.Equal(expected, tokenizer.Encode(text));
        Assert.Equal(text, ((ITokenizer)tokenizer).Decode(tokenizer.Encode(text)));
        int compact = Encoding.UTF8.GetByteCount(TokenizerJson.Save(tokenizer).ToJsonString());
        Assert.InRange(compact, 1, 700_000);
        Gpt2TokenizerFiles.Save(_folder.Path, tokenizer);
        Assert.Equal(tokenizer.Merges, Gpt2TokenizerFiles.LoadFolder(_folder.Path)!.Merges);
        Assert.Equal(File.ReadAllText(SharedData.PathOf("gpt2-tokenizer", "vocab.bpe")).TrimEnd(),
            File.ReadAllText(_folder.File(Gpt2TokenizerFiles.MergesName)).TrimEnd());
    }

    [SharedDataFact]
    public void Gpt2s_own_merges_cut_anywhere_are_named()
    {
        string vocabulary = SharedData.PathOf("gpt2-tokenizer", "encoder.json"), text = File.ReadAllText(SharedData.PathOf("gpt2-tokenizer", "vocab.bpe"));
        foreach (double part in (double[])[0.999, 0.5, 0.01])
        {
            string merges = _folder.Write("merges.txt", text[..text.LastIndexOf('\n', (int)(text.Length * part))]);
            Assert.Contains("No merge makes the token", Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.Load(vocabulary, merges)).Message);
        }

        // What transformers writes of the same tokenizer has the same ids.
        Gpt2Tokenizer tokenizer = Gpt2TokenizerFiles.Load(vocabulary, SharedData.PathOf("gpt2-tokenizer", "vocab.bpe"));
        Gpt2TokenizerFiles.Save(_folder.Path, tokenizer);
        Gpt2Tokenizer json = Gpt2TokenizerFiles.LoadJson(_folder.File(Gpt2TokenizerFiles.JsonName));
        Assert.Equal(tokenizer.Merges, json.Merges);
        Assert.Equal([50256, 15496], json.EncodeWithSpecial("<|endoftext|>Hello"));
    }

    // GPT-2's pattern. .NET's \p{L} sees halves of surrogate pairs, so characters beyond the basic plane are replaced by ones of their kind and put back.
    private static IEnumerable<string> Pieces(string text)
    {
        string plain = string.Concat(text.EnumerateRunes()
            .Select(rune => rune.IsBmp ? rune.ToString() : System.Text.Rune.IsLetter(rune) ? "\u5b57\u5b57" : "++"));
        foreach (System.Text.RegularExpressions.Match match in System.Text.RegularExpressions.Regex.Matches(plain,
            @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"))
        {
            yield return text.Substring(match.Index, match.Length);
        }
    }
}
