using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Text;

/// <summary>Documents in the rows of a batch.</summary>
public class DocumentDatasetTests
{
    private const int End = 0, Vocabulary = 4000;

    // Document d has the ids 100 d + 1, 100 d + 2 and so on; of those with a prompt the first third is read only.
    private static List<TokenDocument> Documents(bool prompts, params int[] lengths) =>
        [.. lengths.Select((length, d) => new TokenDocument([.. Enumerable.Range((100 * (d + 1)) + 1, length)],
            prompts ? [.. Enumerable.Range(0, length).Select(i => i >= Math.Max(1, length / 3))] : null))];

    private static List<(int[] Inputs, int[] Targets)> Rows(TokenDataset data, int context, long epoch = 0)
    {
        List<(int[], int[])> rows = [];
        for (long row = 0; row < data.PieceCount(context); row++)
        {
            int[] inputs = new int[context], targets = new int[context];
            Array.Fill(inputs, -7);
            data.Fill((epoch * data.PieceCount(context)) + row, 1, context, inputs, targets);
            rows.Add((inputs, targets));
        }

        return rows;
    }

    [Theory]
    [InlineData(false, DocumentPacking.Packed)]
    [InlineData(false, DocumentPacking.Separate)]
    [InlineData(true, DocumentPacking.Packed)]
    [InlineData(true, DocumentPacking.Separate)]
    [InlineData(false, DocumentPacking.Isolated)]
    [InlineData(true, DocumentPacking.Isolated)]
    public void Every_learnt_token_is_a_target_once_an_epoch_and_follows_its_own(bool prompts, DocumentPacking packing)
    {
        List<TokenDocument> documents = Documents(prompts, 5, 9, 2, 7, 3, 8, 4);
        TokenDataset data = TokenDataset.FromDocuments(documents, Vocabulary, 3, packing, End);
        int[] expected = [.. documents.SelectMany(d => d.Ids.Where((_, i) => i > 0 && (d.Learnt?[i] ?? true)).Append(End)).Order()];
        HashSet<int> firsts = [.. documents.Select(d => d.Ids[0])];
        List<string> orders = [];
        for (int epoch = 0; epoch < 3; epoch++)
        {
            List<(int[] Inputs, int[] Targets)> rows = Rows(data, 10, epoch);
            (int Input, int Target)[] pairs = [.. rows.SelectMany(row => row.Inputs.Zip(row.Targets)).Where(pair => pair.Second >= 0)];
            Assert.Equal(expected, pairs.Select(pair => pair.Target).Where(id => !firsts.Contains(id)).Order());
            Assert.All(pairs, pair => Assert.True(pair.Target == End ? documents.Exists(d => d.Ids.Last() == pair.Input)
                : firsts.Contains(pair.Target) ? pair.Input == End : pair.Target == pair.Input + 1));
            Assert.Equal(!prompts && packing == DocumentPacking.Packed, pairs.Any(pair => firsts.Contains(pair.Target)));
            Assert.All(rows, row => Assert.Contains(row.Targets, id => id >= 0));
            if (packing == DocumentPacking.Separate) Assert.All(rows, row => Assert.Single(row.Inputs.Where(id => id > End).Select(id => id / 100).Distinct()));
            orders.Add(string.Join(' ', pairs.Select(pair => pair.Target)));
        }

        Assert.Equal(3, orders.Distinct().Count()); // each epoch has its own
        Assert.Equal(orders[1], string.Join(' ', Rows(TokenDataset.FromDocuments(documents, Vocabulary, 3, packing, End), 10, 1)
            .SelectMany(row => row.Targets).Where(id => id >= 0)));
    }

    [Fact]
    public void Documents_with_prompts_are_not_cut_where_they_fit_and_others_leave_no_gap()
    {
        List<(int[] Inputs, int[] Targets)> whole = Rows(TokenDataset.FromDocuments(Documents(true, 5, 6, 5, 6, 5), Vocabulary, 1), 8);
        Assert.Equal(5, whole.Count);
        Assert.All(whole, row => Assert.Equal(1, row.Inputs[0] % 100));
        List<(int[] Inputs, int[] Targets)> packed = Rows(TokenDataset.FromDocuments(Documents(false, 5, 6, 5, 6, 5), Vocabulary, 1, endToken: End), 8);
        Assert.Equal(4, packed.Count); // 27 ids and 5 ends
        Assert.Equal(31, packed.Sum(row => row.Targets.Count(id => id >= 0)));
    }

    /// <summary>Without an end token nothing says that a document begins, so its first id is no target.</summary>
    [Fact]
    public void Without_an_end_token_no_document_is_predicted_from_another()
    {
        List<(int[] Inputs, int[] Targets)> rows = Rows(TokenDataset.FromDocuments(Documents(false, 5, 6, 5), Vocabulary, 1), 8);
        Assert.All(rows.SelectMany(row => row.Inputs.Zip(row.Targets)).Where(pair => pair.Second >= 0), pair => Assert.Equal(pair.First + 1, pair.Second));
        Assert.Equal(4 + 5 + 4, rows.Sum(row => row.Targets.Count(id => id >= 0)));
    }

    /// <summary>A prompt that is longer than a row loses its beginning; what is learnt first sees half a row of it.</summary>
    [Fact]
    public void A_long_prompt_loses_its_beginning_and_no_row_is_without_a_target()
    {
        int[] ids = [.. Enumerable.Range(1, 60)];
        TokenDocument answer = new(ids, [.. ids.Select(id => id > 50)]);
        (int[] inputs, int[] targets) = Assert.Single(Rows(TokenDataset.FromDocuments([answer], Vocabulary), 20));
        Assert.Equal(Enumerable.Range(40, 20), inputs);
        Assert.Equal([.. Enumerable.Repeat(-1, 10), .. Enumerable.Range(51, 10)], targets);

        List<(int[] Inputs, int[] Targets)> rows = Rows(TokenDataset.FromDocuments([new(ids, [.. ids.Select(id => id > 30)])], Vocabulary,
            order: TokenOrder.Sequential), 16);
        Assert.Equal(Enumerable.Range(23, 16), rows[0].Inputs);
        Assert.Equal(Enumerable.Range(31, 30), rows.SelectMany(row => row.Targets).Where(id => id >= 0));
    }

    /// <summary>Positions say where documents begin; none is cut that fits, and the rest of a row belongs to its last.</summary>
    [Fact]
    public void Isolated_documents_have_positions_of_their_own()
    {
        TokenDataset data = TokenDataset.FromDocuments(Documents(false, 5, 6, 3, 25, 4), Vocabulary, 1, DocumentPacking.Isolated, End, TokenOrder.Sequential);
        Assert.True(data.IsolatesDocuments);
        int[] positions = new int[10];
        List<string> rows = [];
        for (int row = 0; row < data.PieceCount(10); row++)
        {
            data.FillPositions(row, 1, 10, positions);
            rows.Add(string.Join(' ', positions));
        }

        // Ids with their ends: 6, then 7 and 4 together, 26 in three rows of 11, of which neighbours share one, and what is left of the third with 5.
        Assert.Equal(["0 1 2 3 4 5 6 7 8 9", "0 1 2 3 4 5 6 0 1 2", .. Enumerable.Repeat("0 1 2 3 4 5 6 7 8 9", 2), "0 1 2 3 4 5 0 1 2 3"], rows);
        Assert.Equal(5 + 6 + 3 + 25 + 4, Rows(data, 10).Sum(row => row.Targets.Count(id => id >= 0))); // all but the first of each
        int[] four = new int[40], one = new int[10];
        data.FillPositions(0, 4, 10, four);
        data.FillPositions(3, 1, 10, one);
        Assert.Equal(one, four[30..]);
        Assert.Throws<ShapeMismatchException>(() => data.FillPositions(0, 1, 10, new int[9]));

        TokenDataset packed = TokenDataset.FromDocuments(Documents(false, 5, 6), Vocabulary);
        Assert.False(packed.IsolatesDocuments);
        packed.FillPositions(0, 1, 10, positions);
        Assert.Equal(Enumerable.Range(0, 10), positions);
    }

    [Fact]
    public void Checksums_cover_marks_and_packing()
    {
        List<TokenDocument> prompts = Documents(true, 5, 6, 7), texts = Documents(false, 5, 6, 7);
        TokenDataset[] all =
        [
            TokenDataset.FromDocuments(prompts, Vocabulary), TokenDataset.FromDocuments(texts, Vocabulary),
            TokenDataset.FromDocuments(texts, Vocabulary, packing: DocumentPacking.Separate), TokenDataset.FromDocuments(texts, Vocabulary, 5),
            TokenDataset.FromDocuments(texts, Vocabulary, packing: DocumentPacking.Isolated),
            TokenDataset.FromDocuments([.. prompts[..2], texts[2]], Vocabulary),
            TokenDataset.FromSequences([.. texts.Select(d => d.Ids.ToArray())], Vocabulary),
        ];
        Assert.Equal(all.Length, all.Select(data => DataChecksum.Of(data, 1, 8)).Distinct().Count());
        Assert.Equal(DataChecksum.Of(all[0], 1, 8), DataChecksum.Of(TokenDataset.FromDocuments(prompts, Vocabulary), 1, 8));
    }

    [Fact]
    public async Task Texts_are_documents_however_they_come()
    {
        string[] texts = ["one", "two and three", "four"];
        Gpt2Tokenizer tokenizer = Models.ScriptedModel.Bytes(Gpt2Tokenizer.EndOfText);
        TokenDataset data = TokenDataset.FromTexts(texts, tokenizer, seed: 2), streamed = await TokenDataset.FromTextsAsync(Stream(), tokenizer, seed: 2);
        Assert.Equal(Rows(data, 8).SelectMany(row => row.Targets), Rows(streamed, 8).SelectMany(row => row.Targets));
        Assert.Equal((texts.Sum(text => text.Length + 1), 3), (data.Tokens, data.Sequences));
        Assert.Contains("Document 2", Assert.Throws<TokenException>(() => TokenDataset.FromTexts(["a", ""], tokenizer)).Message);
        await Assert.ThrowsAsync<OperationCanceledException>(() => TokenDataset.FromTextsAsync(Stream(), tokenizer, cancel: new CancellationToken(true)));

        async IAsyncEnumerable<string> Stream([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel = default)
        {
            foreach (string text in texts)
            {
                cancel.ThrowIfCancellationRequested();
                await Task.Yield();
                yield return text;
            }
        }
    }

    [Fact]
    public void What_leaves_nothing_to_learn_is_refused()
    {
        Assert.Contains("Document 2 has 3 tokens and nothing to learn",
            Assert.Throws<TokenException>(() => TokenDataset.FromDocuments([new([1, 2]), new([1, 2, 3], [true, false, false])], 5, endToken: 4)).Message);
        Assert.Contains("There are no documents", Assert.Throws<TokenException>(() => TokenDataset.FromDocuments([], 5)).Message);
        Assert.Contains("Token id 9 (document 1, place 2)", Assert.Throws<TokenException>(() => TokenDataset.FromDocuments([new([1, 9])], 5)).Message);
        Assert.Throws<ShapeMismatchException>(() => TokenDataset.FromDocuments([new([1, 2], [true])], 5));
        Assert.Throws<InvalidSettingException>(() => TokenDataset.FromDocuments([new([1, 2])], 5, packing: (DocumentPacking)7));
    }

    /// <summary>Steps over documents allocate nothing.</summary>
    [Fact]
    public void A_row_allocates_nothing()
    {
        TokenDataset data = TokenDataset.FromDocuments(Documents(true, 5, 6, 7, 60), Vocabulary, packing: DocumentPacking.Isolated);
        int[] inputs = new int[64], targets = new int[64];
        data.Fill(0, 4, 16, inputs, targets);
        data.FillPositions(0, 4, 16, inputs);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int batch = 0; batch < 50; batch++)
        {
            data.Fill(batch, 4, 16, inputs, targets);
            data.FillPositions(batch, 4, 16, inputs);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
