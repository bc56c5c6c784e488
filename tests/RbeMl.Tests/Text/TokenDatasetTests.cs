using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Text;

public sealed class TokenDatasetTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static (int[] Inputs, int[] Targets) Batch(ITokenSource source, long index, int batch, int context)
    {
        int[] inputs = new int[batch * context], targets = new int[batch * context];
        Array.Fill(inputs, -7);
        Array.Fill(targets, -7);
        source.Fill(index, batch, context, inputs, targets);
        return (inputs, targets);
    }

    [Theory]
    [InlineData(TokenOrder.Random)]
    [InlineData(TokenOrder.Shuffled)]
    [InlineData(TokenOrder.Sequential)]
    public void Windows_are_consecutive_and_targets_one_ahead(TokenOrder order)
    {
        TokenDataset data = TokenDataset.FromStream([.. Enumerable.Range(0, 1000)], 1000, 3, order);
        for (long index = 0; index < 50; index++)
        {
            (int[] inputs, int[] targets) = Batch(data, index, 3, 8);
            Assert.All(inputs.Chunk(8), window => Assert.Equal(Enumerable.Range(window[0], 8), window));
            Assert.Equal(inputs.Select(id => id + 1), targets);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(12)]
    public void A_batch_index_beyond_all_counts_is_refused(int batch)
    {
        TokenDataset data = TokenDataset.FromStream([.. Enumerable.Range(0, 100)], 100, 3, TokenOrder.Shuffled);
        int[] inputs = new int[batch * 4], targets = new int[batch * 4];
        Assert.Equal("batchIndex", Assert.Throws<InvalidSettingException>(() => data.Fill(long.MaxValue, batch, 4, inputs, targets)).Setting);
        data.Fill((long.MaxValue / batch) - 1, batch, 4, inputs, targets);
        Assert.Equal(inputs[1], targets[0]);
    }

    [Fact]
    public void Long_lists_are_those_of_arrays()
    {
        Random random = new(4);
        int[] ids = [.. Enumerable.Range(0, 500_000)
            .Select(i => i < 150_000 ? random.Next(256) : i < 300_000 ? random.Next(70_000) : i < 450_000 ? random.Next(65_536) : random.Next(-5, 9))];
        TokenList list = new();
        for (int start = 0, some; start < ids.Length; start += some) list.Add(ids.AsSpan(start, some = Math.Min(ids.Length - start, random.Next(1, 90_000))));
        Assert.Equal(ids, list.ToArray());
        Assert.Equal((ids.Length, ids.Max()), (list.Length, list.Largest));
        Assert.True(list.FindOutside(1 << 17, out long place, out int id) && id == ids[place]
            && ids.AsSpan(0, (int)place).IndexOfAnyInRange(int.MinValue, -1) < 0);
        foreach (int start in new[] { 0, 131_071, 131_072, 262_140, 262_144, 393_000, 499_990 })
        {
            int[] part = new int[10];
            list.CopyTo(start, part);
            Assert.Equal(ids[start..(start + 10)], part);
            Assert.Equal(ids[start], list[start]);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => list.CopyTo(499_991, new int[10]));
        Assert.Throws<ArgumentOutOfRangeException>(() => list[-1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => list[500_000]);
    }

    [Fact]
    public void A_batch_depends_on_seed_and_index_alone()
    {
        int[] stream = [.. Enumerable.Range(0, 500)];
        TokenDataset a = TokenDataset.FromStream(stream, 500, 3), b = TokenDataset.FromStream(stream, 500, 3), c = a.Reorder(4, TokenOrder.Random);
        (int[] last, _) = Batch(a, 1_000_000_007, 4, 16);
        Batch(b, 5, 2, 7);
        Assert.Equal(last, Batch(b, 1_000_000_007, 4, 16).Inputs);
        Assert.NotEqual(last, Batch(c, 1_000_000_007, 4, 16).Inputs);
        Assert.NotEqual(last, Batch(a, 1_000_000_008, 4, 16).Inputs);
    }

    [Fact]
    public void Random_windows_reach_every_place_evenly()
    {
        TokenDataset data = TokenDataset.FromStream([.. Enumerable.Range(0, 14)], 14, 9);
        int[] counts = new int[10];
        for (long i = 0; i < 1000; i++) foreach (int[] window in Batch(data, i, 10, 4).Inputs.Chunk(4)) counts[window[0]]++;
        Assert.All(counts, count => Assert.InRange(count, 850, 1150)); // 1000 expected, standard deviation 30: five of them
    }

    [Theory]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(100)]
    public void An_epoch_shows_each_piece_once_and_the_next_in_another_order(int pieces)
    {
        TokenDataset data = TokenDataset.FromStream([.. Enumerable.Range(0, pieces * 3 + 1)], pieces * 3 + 1, 5, TokenOrder.Shuffled);
        Assert.Equal(pieces, data.PieceCount(3));
        int[] Epoch(int epoch) => [.. Enumerable.Range(epoch * pieces, pieces).Select(i => Batch(data, i, 1, 3).Inputs[0])];
        Assert.Equal(Enumerable.Range(0, pieces).Select(i => 3 * i), Epoch(0).Order());
        Assert.Equal(Enumerable.Range(0, pieces).Select(i => 3 * i), Epoch(1).Order());
        if (pieces >= 7) Assert.NotEqual(Epoch(0), Epoch(1));
    }

    [Fact]
    public void Sequences_are_padded_and_never_run_into_each_other()
    {
        TokenDataset data = TokenDataset.FromSequences([[1, 2, 3], [4, 5], [6, 7, 8, 9, 10, 11]], 12, order: TokenOrder.Sequential);
        (int[] inputs, int[] targets) = Batch(data, 0, 4, 4);
        Assert.Equal([1, 2, 0, 0, 4, 0, 0, 0, 6, 7, 8, 9, 10, 0, 0, 0], inputs);
        Assert.Equal([2, 3, -1, -1, 5, -1, -1, -1, 7, 8, 9, 10, 11, -1, -1, -1], targets);
        Assert.Equal(4, data.PieceCount(4));
        Assert.Equal([1, 2, 0, 0], Batch(data, 4, 1, 4).Inputs);
    }

    [Fact]
    public void Too_little_text_names_both_lengths()
    {
        TokenDataset data = TokenDataset.FromStream([1, 2, 3, 4], 5);
        Assert.Equal([1, 2, 3], Batch(data, 0, 1, 3).Inputs);
        string message = Assert.Throws<TokenException>(() => Batch(data, 0, 1, 4)).Message;
        Assert.Contains("4 tokens", message);
        Assert.Contains("at least 5", message);
        Assert.Throws<TokenException>(() => TokenDataset.FromStream([1], 5));
        Assert.Throws<TokenException>(() => TokenDataset.FromSequences([], 5));
        Assert.Throws<TokenException>(() => TokenDataset.FromSequences([[1, 2], [3]], 5));
    }

    [Fact]
    public void Ids_outside_the_vocabulary_are_named()
    {
        Assert.Contains("id 5 (sequence 1, place 2)", Assert.Throws<TokenException>(() => TokenDataset.FromStream([1, 5], 5)).Message);
        Assert.Contains("id -1 (sequence 2, place 1)", Assert.Throws<TokenException>(() => TokenDataset.FromSequences([[1, 2], [-1, 2]], 5)).Message);
    }

    [Fact]
    public void Spans_of_the_wrong_length_are_refused()
    {
        TokenDataset data = TokenDataset.FromStream([1, 2, 3, 4], 5);
        Assert.Throws<ShapeMismatchException>(() => data.Fill(0, 2, 2, new int[3], new int[4]));
        Assert.Throws<ShapeMismatchException>(() => data.Fill(0, 2, 2, new int[4], new int[5]));
    }

    [Fact]
    public void Token_files_hold_a_sequence_a_line()
    {
        string path = _folder.Write("ids.txt", "1 2 3\n\n4,5;\t6\r\n");
        Assert.Equal([[1, 2, 3], [4, 5, 6]], TokenFile.ReadSequences(path, 7));
        Assert.False(TokenFile.Read(path, 7, 1).IsStream);
        Assert.True(TokenFile.Read(_folder.Write("one.txt", "1 2 3 4"), 7, 1).IsStream);
    }

    [Theory]
    [InlineData("1 2\n3 9 4\n", "line 2: token id 9 is outside the vocabulary 0 .. 6")]
    [InlineData("1 -2", "line 1: token id -2")]
    [InlineData("1 2\nx1 2", "line 2: \"x1\" is no token id")]
    [InlineData("1 99999999999", "line 1: \"99999999999\" is no token id")]
    [InlineData("1 2\n\n3\n", "line 3: a sequence of one id, 3")]
    public void Wrong_ids_name_file_line_and_id(string text, string message)
    {
        string path = _folder.Write("ids.txt", text);
        string error = Assert.Throws<TokenException>(() => TokenFile.ReadSequences(path, 7)).Message;
        Assert.StartsWith(path, error);
        Assert.Contains(message, error);
    }

    [Fact]
    public void Missing_and_empty_files_are_file_errors()
    {
        Assert.Contains("no token ids", Assert.Throws<RbeFileException>(() => TokenFile.ReadSequences(_folder.Write("e.txt", "\n"), 5)).Message);
    }

    [Fact]
    public void The_tail_is_for_validation()
    {
        (string train, string validation) = TokenDataset.SplitTail(new string('a', 90) + new string('b', 10));
        Assert.Equal((new string('a', 90), new string('b', 10)), (train, validation));
        Assert.Throws<TokenException>(() => TokenDataset.SplitTail("a"));
        Assert.Equal(("a", "😀"), TokenDataset.SplitTail("a😀", 0.34));
    }
}
