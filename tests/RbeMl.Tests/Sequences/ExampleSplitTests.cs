using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public sealed class ExampleSplitTests
{
    [Fact]
    public void Every_class_gives_its_share_and_keeps_one()
    {
        ClassifierExample[] examples = Examples(100, 40, 9, 1);
        for (ulong seed = 0; seed < 30; seed++)
        {
            (IReadOnlyList<ClassifierExample> train, IReadOnlyList<ClassifierExample> held) = ExampleSplit.Of(examples, 5, 0.2, seed);
            Assert.Equal([20, 8, 2, 0, 0], Counts(held)); // 1.8 of class 2 is rounded up: of 150 rows 30 are held
            Assert.Equal(examples.Select(e => e.Tokens[0]).Order(), train.Concat(held).Select(e => e.Tokens[0]).Order());
        }
    }

    [Fact]
    public void The_seed_draws_the_places()
    {
        ClassifierExample[] examples = Examples(40, 40);
        int[] first = Places(1);
        Assert.Equal(first, Places(1));
        Assert.NotEqual(first, Places(2));

        int[] Places(ulong seed) => [.. ExampleSplit.Of(examples, 2, 0.25, seed).Validation.Select(e => e.Tokens[0])];
    }

    [Theory]
    [InlineData(0.01, 1)]
    [InlineData(0.5, 3)]
    [InlineData(0.66, 4)]
    public void As_many_are_held_out_as_the_fraction_says(double fraction, int held) =>
        Assert.Equal(held, ExampleSplit.Of(Examples(3, 3), 2, fraction, 1).Validation.Count);

    [Fact]
    public void What_would_leave_a_class_empty_is_refused()
    {
        Assert.Empty(ExampleSplit.Of(Examples(1, 1), 2, 0, 1).Validation);
        foreach ((int[] counts, double fraction) in ((int[], double)[])[([1, 1], 0.5), ([3, 3], 0.8), ([50, 50], 0.99)])
        {
            InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => ExampleSplit.Of(Examples(counts), 2, fraction, 1));
            Assert.Equal("ValidationFraction", error.Setting);
            Assert.Contains($"of {counts.Sum()} rows", error.Message, StringComparison.Ordinal);
        }
    }

    // Examples of so many a class; the token is the place.
    private static ClassifierExample[] Examples(params int[] counts)
        => [.. counts.SelectMany((n, label) => Enumerable.Repeat(label, n)).Select((label, place) => new ClassifierExample([place], label))];

    private static int[] Counts(IReadOnlyList<ClassifierExample> examples) => [.. Enumerable.Range(0, 5).Select(c => examples.Count(e => e.Label == c))];
}
