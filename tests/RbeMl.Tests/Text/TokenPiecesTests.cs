using System.Diagnostics;
using System.Text;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Text;

/// <summary>A text that is read in pieces has the tokens of the whole.</summary>
public sealed class TokenPiecesTests : IDisposable
{
    private static readonly string[] Parts =
        ["a", "the", "Word", "é", "ß", "日本", "。", "😀", "👩‍👩‍👧", "𝒳", "e\u0301", " ", "  ", "     ", "\n", "\n\n", "\r\n", "\t", "'", "'s",
            "'re", "'ll", "don't", ".", ",", "...", "12", "٣", "-", "_", "\u00A0", "\u2028", "<|x|>", "<|", "|>"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Tokenizers => ["bytes", "characters", "bpe", "gpt2", "named", "spaced", "unknown"];

    private static ITokenizer Create(string kind)
    {
        string sample = string.Concat(Enumerable.Repeat(string.Concat(Parts), 3));
        BytePairTokenizer pairs = BytePairTokenizer.Train(sample + string.Concat(Enumerable.Repeat("the Word don't   the\n", 20)), 330);
        int[] bytes = [.. Enumerable.Range(0, 256)];
        TokenMerge[] merges = [.. pairs.Merges.Select((m, i) => new TokenMerge(m.Left, m.Right, 256 + i))];
        return kind switch
        {
            "bytes" => new ByteTokenizer(),
            "characters" => CharacterTokenizer.FromText(sample),
            "bpe" => pairs,
            "gpt2" => new Gpt2Tokenizer(bytes, merges, new Dictionary<string, int> { ["<|x|>"] = pairs.Vocabulary }),
            "named" => new Gpt2Tokenizer(bytes, merges, new Dictionary<string, int>(), new Dictionary<string, int> { ["<|x|>"] = pairs.Vocabulary }),
            "spaced" => new Gpt2Tokenizer(bytes, merges, new Dictionary<string, int>(), new Dictionary<string, int> { ["     "] = pairs.Vocabulary }),
            _ => new Foreign(),
        };
    }

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void Pieces_have_the_tokens_of_the_whole(string kind)
    {
        ITokenizer tokenizer = Create(kind);
        Random random = new(5);
        for (int round = 0; round < 150; round++)
        {
            StringBuilder text = new();
            int parts = random.Next(1, 400), repeat = random.Next(1, 5);
            while (parts-- > 0) text.Insert(text.Length, Parts[random.Next(Parts.Length)], random.Next(8) == 0 ? random.Next(1, 90) : repeat);
            string whole = text.ToString();
            int[] expected = tokenizer.Encode(whole),
                actual = TokenPieces.Encode(tokenizer, Cut(whole, random), "x", int.MaxValue, random.Next(1, 200)).ToArray();
            Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void A_cut_is_safe_whatever_follows()
    {
        Random random = new(6);
        foreach (string kind in new[] { "bytes", "characters", "bpe", "gpt2", "named", "spaced", "unknown" })
        {
            ITokenizer tokenizer = Create(kind);
            for (int round = 0; round < 300; round++)
            {
                string start = string.Concat(Enumerable.Range(0, random.Next(1, 30)).Select(_ => Parts[random.Next(Parts.Length)]));
                string rest = string.Concat(Enumerable.Range(0, random.Next(30)).Select(_ => Parts[random.Next(Parts.Length)]));
                int cut = tokenizer.SafeCut(start);
                Assert.InRange(cut, 0, start.Length);
                int[] parts = [.. tokenizer.Encode(start[..cut]), .. cut == 0 ? tokenizer.Encode(start + rest) : tokenizer.Encode(start[cut..] + rest)];
                Assert.Equal(tokenizer.Encode(start + rest), parts);
            }
        }
    }

    [Fact]
    public void Too_many_tokens_name_both_sizes()
    {
        RbeFileException error =
            Assert.Throws<RbeFileException>(() =>
                TokenPieces.Encode(new ByteTokenizer(), ["aaaa".AsMemory(), "bbbb".AsMemory()], "big.txt", int.MaxValue, 4, most: 6));
        Assert.StartsWith("big.txt: has more than 4 tokens, and 6 are the most that can be held", error.Message);
    }

    [Fact]
    public void A_character_without_an_id_is_placed_in_the_whole_text()
    {
        TokenException error =
            Assert.Throws<TokenException>(() =>
                TokenPieces.Encode(CharacterTokenizer.FromText("a"), ["aaaa".AsMemory(), "aaab".AsMemory()], "x", int.MaxValue, 3));
        Assert.StartsWith("x, in what follows character 6: Character 'b' (U+0062) at place 1 ", error.Message);
    }

    [Theory]
    [InlineData("utf-8", false, 1)]
    [InlineData("utf-8", true, 1)]
    [InlineData("latin1", false, 1)]
    [InlineData("utf-16", true, 2)]
    public void Bits_a_byte_count_the_bytes_of_the_file(string name, bool marked, int unit)
    {
        const string Text = "Größe für Größe: éèê\n";
        Encoding encoding = Encoding.GetEncoding(name);
        byte[] bytes = encoding.GetBytes(Text);
        string path = _folder.File("text.txt");
        File.WriteAllBytes(path, marked ? [.. encoding.GetPreamble(), .. bytes] : bytes);
        TextSource source = TextSource.OfFiles([path], new TextOptions { Encoding = name });
        EvaluationData data = EvaluationData.FromText(source, new ByteTokenizer());
        Assert.Equal(bytes.Length, source.TextBytes);
        Assert.Equal(name == "utf-8" ? bytes.Length : Text.Length * unit, data.TextBytes(Encoding.UTF8.GetByteCount(Text)));
    }

    [Fact]
    public void Files_are_joined_by_line_breaks_and_can_be_read_again()
    {
        TextSource source = TextSource.OfFiles([_folder.Write("a", "\uFEFFone"), _folder.Write("b", ""), _folder.Write("c", "two")]);
        for (int time = 0; time < 2; time++) Assert.Equal("one\n\ntwo", string.Concat(source.Pieces().Select(piece => piece.ToString())));
        Assert.Equal(8, source.TextBytes);
        Assert.Equal("e\n\nt", string.Concat(source.Part(2, 6).Select(piece => piece.ToString())));
        Assert.Throws<OperationCanceledException>(() => source.Pieces(cancel: new CancellationToken(true)).Count());
    }

    [Fact]
    public async Task A_pipe_is_kept_to_be_read_again()
    {
        if (OperatingSystem.IsWindows()) return;
        string pipe = _folder.File("pipe"), text = string.Concat(Enumerable.Range(0, 300_000).Select(i => $"line {i} é\n"));
        using (Process make = Process.Start("mkfifo", [pipe])) await make.WaitForExitAsync();
        Task writer = Task.Run(() => File.WriteAllText(pipe, text));
        await Task.Run(() =>
        {
            TextSource source = TextSource.OfFiles([pipe]);
            for (int time = 0; time < 3; time++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                Assert.True(source.Pieces().Sum(piece => (long)piece.Length) == text.Length
                    && GC.GetAllocatedBytesForCurrentThread() - before < text.Length, "the bytes are held in memory");
            }

            for (int time = 0; time < 2; time++) Assert.Equal(text, string.Concat(source.Pieces().Select(piece => piece.ToString())));
        });
        await writer;
    }

    // Pieces of any size that do not cut pairs.
    private static IEnumerable<ReadOnlyMemory<char>> Cut(string text, Random random)
    {
        for (int start = 0; start < text.Length;)
        {
            int length = Math.Min(random.Next(1, 60), text.Length - start);
            yield return text.AsMemory(start, length);
            start += length;
        }
    }

    /// <summary>A tokenizer that knows no place to cut: the id of a character depends on those before it.</summary>
    private sealed class Foreign : ITokenizer
    {
        public int Vocabulary => int.MaxValue;

        public int[] Encode(string text)
        {
            int last = 0;
            return [.. text.Select(c => last = ((31 * last) + c) & 0xFFFFFF)];
        }

        public ReadOnlySpan<byte> Bytes(int token) => default;
    }
}
