using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Blocks;
using RbeMl.MLNet.Tests.Features;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.MLNet.Tests.Settings;

/// <summary>Settings that cannot be meant are refused when the estimator is made.</summary>
public sealed class SettingTests : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = TextRows.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void NamesOfColumns(string? name)
    {
        foreach (Action act in (Action[])
        [
            () => Block(o => o.InputColumnName = name!), () => Block(o => o.OutputColumnName = name!),
            () => Featurize(o => o.InputColumnName = name!), () => Featurize(o => o.OutputColumnName = name!),
            () => _ml.Rbe.Tokenize(new TokenizeOptions { InputColumnName = name! }), () => _ml.Rbe.Tokenize(new TokenizeOptions { OutputColumnName = name! }),
            () => _ml.Rbe.Tokenize(name!, name),
        ])
        {
            Assert.Contains("ColumnName", Assert.Throws<InvalidSettingException>(act).Setting, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void NameOfTheMask()
    {
        Assert.Equal("PaddingMaskColumnName", Assert.Throws<InvalidSettingException>(() => Block(o => o.PaddingMaskColumnName = "")).Setting);
        Block(o => o.PaddingMaskColumnName = null);
    }

    [Theory]
    [InlineData(-1, false)]
    [InlineData(0, true)]
    [InlineData(RunLimits.Threads, true)]
    [InlineData(RunLimits.Threads + 1, false)]
    public void Threads(int threads, bool allowed)
    {
        foreach (Action act in (Action[])[() => Block(o => o.Threads = threads), () => Featurize(o => o.Threads = threads),
            () => _ = new WorkspacePool(threads)])
        {
            if (allowed) act();
            else Assert.Equal("Threads", Assert.Throws<InvalidSettingException>(act).Setting);
        }
    }

    [Fact]
    public void LookAhead()
    {
        foreach (int tokens in (int[])[-1, RunLimits.Tokens + 1, int.MaxValue])
        {
            Assert.Equal("BatchTokens", Assert.Throws<InvalidSettingException>(() => Block(o => o.BatchTokens = tokens)).Setting);
        }

        foreach (int rows in (int[])[0, RunLimits.Rows + 1, int.MaxValue])
        {
            Assert.Equal("BatchRows", Assert.Throws<InvalidSettingException>(() => Featurize(o => o.BatchRows = rows)).Setting);
        }

        // The most that is allowed works, and takes memory for the rows that there are.
        IDataView rowsOfFive = BlockRows.Fixed(_ml, 3);
        Assert.Equal(BlockRows.Expected(BlockRows.Activations(2)),
            BlockRows.Column(Block(o => o.BatchTokens = RunLimits.Tokens).Fit(rowsOfFive).Transform(rowsOfFive), "Y")[2]);
        Assert.Equal(TextRows.Expected(_bundle, "red"),
            Featurize(o => o.BatchRows = RunLimits.Rows).Fit(TextRows.View(_ml)).Transform(TextRows.View(_ml)).GetColumn<float[]>("Features").First());
    }

    [Fact]
    public void CompressionAndLayerOfABlock()
    {
        Assert.Equal("Compression", Assert.Throws<InvalidSettingException>(() => Block(o => o.Compression = null!)).Setting);
        foreach (int layer in (int[])[1, -1])
        {
            Assert.Equal("Layer", Assert.Throws<InvalidSettingException>(() => Block(o => o.Layer = layer)).Setting);
            Assert.Equal("Layer",
                Assert.Throws<InvalidSettingException>(() => Block(o => (o.Layer, o.Weights, o.DenseWeights) = (layer, null, BlockRows.Dense))).Setting);
        }
    }

    [Fact]
    public void AFileThatAppearsLaterIsTaken()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("late.rbe");
        IDataView data = BlockRows.Fixed(_ml);
        TransformerBlockEstimator estimator = _ml.Rbe.TransformerBlock("Y", "X", path);
        Assert.Throws<RbeFileException>(() => estimator.Fit(data));
        ModelFile.Save(path, _bundle.Model, _bundle.Tokenizer);
        Assert.Equal(BlockRows.Width, estimator.Fit(data).Config.Width);
    }

    private TransformerBlockEstimator Block(Action<TransformerBlockOptions> change)
    {
        TransformerBlockOptions options = new() { OutputColumnName = "Y", InputColumnName = "X", Config = BlockRows.Config, Weights = BlockRows.Weights };
        change(options);
        return _ml.Rbe.TransformerBlock(options);
    }

    private FeaturizeEstimator Featurize(Action<FeaturizeOptions> change)
    {
        FeaturizeOptions options = new() { Model = _bundle };
        change(options);
        return _ml.Rbe.Featurize(options);
    }
}
