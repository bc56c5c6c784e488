using RbeMl.Training;

namespace RbeMl.Tests.Training;

public sealed class ThreadCollectiveTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_part_arrives_at_its_place(int size)
    {
        ThreadCollective ranks = new(size);
        byte[][] received = new byte[size][], gathered = new byte[size][];
        ranks.Run(rank =>
        {
            // To rank r goes r + 1 times the number 10 * own + r; from each comes own + 1 times.
            int[] sent = [.. Enumerable.Range(1, size)], counts = [.. Enumerable.Repeat(rank.Rank + 1, size)];
            byte[] send = [.. Enumerable.Range(0, size).SelectMany(to => Enumerable.Repeat((byte)((10 * rank.Rank) + to), to + 1))];
            received[rank.Rank] = new byte[counts.Sum()];
            rank.AllToAll(send, sent, received[rank.Rank], counts);
            byte[] all = new byte[sent.Sum()];
            all.AsSpan(sent[..rank.Rank].Sum(), sent[rank.Rank]).Fill((byte)(rank.Rank + 1));
            rank.AllGather(all, sent);
            gathered[rank.Rank] = all;
        });
        for (int rank = 0; rank < size; rank++)
        {
            Assert.Equal(Enumerable.Range(0, size).SelectMany(from => Enumerable.Repeat((byte)((10 * from) + rank), rank + 1)), received[rank]);
            Assert.Equal(Enumerable.Range(1, size).SelectMany(number => Enumerable.Repeat((byte)number, number)), gathered[rank]);
        }
    }

    [Fact]
    public void An_error_of_one_rank_ends_the_others_and_is_the_one_that_is_thrown()
    {
        Exception?[] seen = new Exception?[3];
        ThreadCollective ranks = new(3);
        Assert.Equal("the disk is full", Assert.Throws<IOException>(() => ranks.Run(rank =>
        {
            if (rank.Rank == 1) throw new IOException("the disk is full");
            seen[rank.Rank] = Record.Exception(() => rank.AllGather(new byte[3], [1, 1, 1]));
        })).Message);
        Assert.All([seen[0], seen[2]], error => Assert.Equal("rank 1: the disk is full", Assert.IsType<DistributedException>(error).Message));
    }

    [Fact]
    public void After_a_failure_every_call_fails()
    {
        Exception?[] again = new Exception?[2];
        ThreadCollective ranks = new(2);
        Assert.Throws<IOException>(() => ranks.Run(rank =>
        {
            if (rank.Rank == 1) throw new IOException("the disk is full");
            for (int call = 0; call < 2; call++) again[call] = Record.Exception(() => rank.AllGather(new byte[2], [1, 1]));
        }));
        Assert.All(again, error => Assert.IsType<DistributedException>(error));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(4, 5, -1)]
    [InlineData(4, 4)]
    public void Parts_without_room_are_refused_before_anything_moves(int bytes, params int[] counts)
    {
        ThreadCollective ranks = new(2);
        Assert.Throws<ShapeMismatchException>(() => ranks.Run(rank => rank.AllGather(new byte[bytes], counts)));
        Assert.Throws<ShapeMismatchException>(() => new ThreadCollective(2).Run(rank => rank.AllToAll(new byte[bytes], counts, new byte[2], [1, 1])));
        Assert.Throws<ShapeMismatchException>(() => new ThreadCollective(2).Run(rank => rank.AllToAll(new byte[2], [1, 1], new byte[bytes], counts)));
    }

    [Fact]
    public void Calls_that_do_not_fit_together_are_refused()
    {
        ThreadCollective ranks = new(2);
        DistributedException error = Assert.Throws<DistributedException>(() => ranks.Run(rank =>
            rank.AllGather(new byte[4], rank.Rank == 0 ? [1, 3] : [2, 2])));
        Assert.Contains("All ranks must make the same calls in the same order.", error.Message);
    }

    [Fact]
    public void There_is_at_least_one_rank() => Assert.Equal("size", Assert.Throws<InvalidSettingException>(() => new ThreadCollective(0)).Setting);
}
