using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Tests.Blocks;
using RbeMl.MLNet.Tests.Features;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>Components that were saved alone come back with all their settings, or are refused.</summary>
public sealed class ComponentLoadTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Block()
    {
        TransformerBlockOptions options = new()
        {
            OutputColumnName = "Y",
            InputColumnName = "X",
            PaddingMaskColumnName = "Mask",
            VariableLength = true,
            Config = BlockRows.Config,
            Weights = BlockRows.Weights,
            BatchTokens = 77,
            Threads = 1,
        };
        TransformerBlockTransformer fitted = _ml.Rbe.TransformerBlock(options).Fit(BlockRows.Variable(_ml)),
            loaded = Reload(fitted, _ml.Rbe.LoadTransformerBlock);
        Assert.Equal(new BlockColumns("Y", "X", "Mask", true, 77, 1), fitted.Columns);
        Assert.Equal(fitted.Columns, loaded.Columns);
        Assert.Equal(BlockRows.Column(fitted.Transform(BlockRows.Variable(_ml)), "Y"), BlockRows.Column(loaded.Transform(BlockRows.Variable(_ml)), "Y"));
    }

    [Fact]
    public void Featurize()
    {
        using ModelBundle bundle = TextRows.Bundle();
        FeaturizeOptions options =
            new() { Model = bundle, MaxTokens = 5, KeepEnd = true, BatchRows = 7, Threads = 1, Pooling = Models.Pooling.Last, Layer = 1 };
        FeaturizeTransformer fitted = _ml.Rbe.Featurize(options).Fit(TextRows.View(_ml)), loaded = Reload(fitted, _ml.Rbe.LoadFeaturize);
        Assert.Equal(new FeaturizeColumns("Features", "Text", 5, true, 7, 1), fitted.Columns);
        Assert.Equal(fitted.Columns, loaded.Columns);
        Assert.Equal(fitted.Settings, loaded.Settings);
        Assert.Equal(fitted.Transform(TextRows.View(_ml)).GetColumn<float[]>("Features"), loaded.Transform(TextRows.View(_ml)).GetColumn<float[]>("Features"));
    }

    [Fact]
    public void Tokenize()
    {
        IDataView data = TextRows.View(_ml);
        TokenizeOptions options =
            new() { OutputColumnName = "T", MaxTokens = 3, Values = TokenValues.Keys, Tokenizer = new CharacterTokenizer([.. " abcdeglnrs".EnumerateRunes()]) };
        TokenizeTransformer loaded = Reload(_ml.Rbe.Tokenize(options).Fit(data), _ml.Rbe.LoadTokenize);
        uint[][] expected = [.. TextRows.Texts.Select(Keys)];
        Assert.Equal(expected, loaded.Transform(data).GetColumn<uint[]>("T"));
        Assert.Equal(3, expected.Max(k => k.Length));

        uint[] Keys(string? text)
        {
            try
            {
                return [.. options.Tokenizer.Encode(text ?? "").Take(3).Select(id => (uint)id + 1)];
            }
            catch (TokenException)
            {
                return [];
            }
        }
    }

    [Fact]
    public void DamageIsRefused()
    {
        using ModelBundle bundle = TextRows.Bundle();
        IDataView texts = TextRows.View(_ml);
        byte[] block = Bytes(_ml.Rbe.TransformerBlock("Y", "X", BlockRows.Config, BlockRows.Weights).Fit(BlockRows.Fixed(_ml)));
        byte[] features = Bytes(_ml.Rbe.Featurize("F", "Text", bundle).Fit(texts)), tokens = Bytes(_ml.Rbe.Tokenize("T", "Text").Fit(texts));
        foreach ((byte[] bytes, Action<Stream> load) in ((byte[], Action<Stream>)[])
        [
            (block, s => _ml.Rbe.LoadTransformerBlock(s)), (features, s => _ml.Rbe.LoadFeaturize(s)), (tokens, s => _ml.Rbe.LoadTokenize(s)),
        ])
        {
            load(new MemoryStream(bytes));
            Assert.Throws<ArgumentNullException>(() => load(null!));
            int step = Math.Max(1, bytes.Length / 40);
            for (int i = 0; i < bytes.Length; i += step)
            {
                byte[] flipped = [.. bytes];
                flipped[i] ^= 0x10;
                Assert.Throws<RbeFileException>(() => load(new MemoryStream(flipped)));
                Assert.Throws<RbeFileException>(() => load(new MemoryStream(bytes[..i])));
            }
        }

        Assert.Contains("RbeBlock", Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadTokenize(new MemoryStream(block))).Message);
    }

    private static T Reload<T>(T transformer, Func<Stream, T> load)
        where T : RbeTransformer
    {
        using MemoryStream stream = new();
        transformer.Save(stream);
        byte[] saved = stream.ToArray();
        Assert.Contains("followed by others", Assert.Throws<RbeFileException>(() => load(new MemoryStream([.. saved, 0]))).Message);
        return load(new MemoryStream(saved));
    }

    private static byte[] Bytes(RbeTransformer transformer)
    {
        using MemoryStream stream = new();
        transformer.Save(stream);
        return stream.ToArray();
    }
}
