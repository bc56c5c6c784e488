using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>What counts as the same output: the rule that notebooks/README.md states.</summary>
public sealed class OutputComparerTests
{
    [Theory]
    [InlineData("same text", "same text")]
    [InlineData("loss 0.10", "loss 0.11")] // one unit of the last digit
    [InlineData("loss 0.10", "loss 0.09")]
    [InlineData("x=100.0", "x=100.5")] // a two-hundredth
    [InlineData("x=-0.000", "x=0.001")]
    [InlineData("9.99 ms", "10.00 ms")]
    [InlineData("|  9.99|", "| 10.00|")] // columns
    [InlineData("1.25e-3", "1.26e-3")]
    [InlineData("≈ 3.1 s", "≈ 12 s")]
    [InlineData("≈ 900 letters", "≈ 12345.6 letters")]
    [InlineData("M10.5,20.0L30.1,40.2", "M10.5,20.1L30.1,40.2")]
    public void Agree(string committed, string ran) => Assert.Null(OutputComparer.Difference(committed, ran));

    [Theory]
    [InlineData("same text", "same  text")]
    [InlineData("yes", "no")]
    [InlineData("loss 0.10", "loss 0.12")]
    [InlineData("x=100.0", "x=100.6")]
    [InlineData("x=0.5", "x=-0.5")]
    [InlineData("12 tiles", "13 tiles")] // whole numbers are exact
    [InlineData("100000 tiles", "100001 tiles")]
    [InlineData("3", "3.0")]
    [InlineData("1.25e-3", "1.25e-4")]
    [InlineData("≈ 3.1 s", "≈ 3.1 ms")]
    [InlineData("≈ 3.1 s", "3.1 s")]
    [InlineData("3.1 s", "≈ 3.1 s")]
    [InlineData("≈ 3.1 s", "≈ s")]
    [InlineData("a 1.5", "a 1.5 2.5")]
    [InlineData("a 1.5 2.5", "a 1.5")]
    [InlineData("loss 0.10", "loss NaN")]
    [InlineData("", "x")]
    public void Differ(string committed, string ran) => Assert.NotNull(OutputComparer.Difference(committed, ran));

    [Fact]
    public void KindNameAndTypesMustAgree()
    {
        NotebookOutput text = NotebookOutput.Stream("stdout", "x");
        NotebookOutput html = new(OutputKind.DisplayData, "", new Dictionary<string, string> { [NotebookOutput.Html] = "x" });
        NotebookOutput plain = new(OutputKind.DisplayData, "", new Dictionary<string, string> { [NotebookOutput.Plain] = "x" });
        Assert.Null(OutputComparer.Difference([text, html], [text, html]));
        Assert.NotNull(OutputComparer.Difference([text], [text, html]));
        Assert.NotNull(OutputComparer.Difference([text], [NotebookOutput.Stream("stderr", "x")]));
        Assert.NotNull(OutputComparer.Difference([text], [plain]));
        Assert.NotNull(OutputComparer.Difference([plain], [html]));
        Assert.NotNull(OutputComparer.Difference([plain], [plain with { Kind = OutputKind.ExecuteResult }]));
    }
}
