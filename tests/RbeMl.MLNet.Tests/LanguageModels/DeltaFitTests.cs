using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Tests.Classification;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>Deltas in ML.NET: what is trained, saved and read.</summary>
public sealed class DeltaFitTests : IDisposable
{
    private readonly MLContext _ml = new MLContext(1).UseRbe();
    private readonly TemporaryFolder _folder = new();
    private readonly ModelBundle _base = Base();

    public void Dispose()
    {
        _base.Dispose();
        _folder.Dispose();
    }

    private static ModelBundle Base(ulong seed = 5)
    {
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = 32, Vocabulary = 256, MaxSequenceLength = Verses.Context };
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        return new ModelBundle(new TransformerModel<float>(TransformerWeights.CreateUntrained(config, options, seed)), new ByteTokenizer());
    }

    private LanguageModelTransformer Fit(Action<LanguageModelOptions> change) => Verses.Fit(_ml, Verses.View(_ml), o =>
    {
        (o.Model, o.Compression, o.Context) = (_base, null, null);
        change(o);
    });

    private TextClassificationTransformer Classify(Action<TextClassificationOptions> change) => Toy.Fit(_ml, Toy.Binary(_ml), o =>
    {
        (o.Model, o.Compression, o.Context, o.Epochs) = (_base, null, null, 2);
        change(o);
    });

    private string[] Changed(TransformerModel<float> model) =>
        [.. model.Parameters.Slices.Where(slice => _base.Model.Parameters.Slices.FirstOrDefault(other => other.Name == slice.Name) is not { } other
            || !_base.Model.Parameters.ToFloats(other).AsSpan().SequenceEqual(model.Parameters.ToFloats(slice))).Select(slice => slice.Name)];

    [Theory]
    [InlineData(DeltaSupport.Runs)]
    [InlineData(DeltaSupport.Gradient)]
    public void A_language_models_delta_is_trained_saved_and_read(DeltaSupport support)
    {
        DeltaOptions delta = new() { Share = 0.05, Support = support, Layers = ["*.attention.*"], CalibrationSteps = 2 };
        LanguageModelTransformer model = Fit(o => o.Delta = delta), plain = Fit(o => o.Epochs = 0);
        Assert.Equal(4, Changed(model.Model).Length);
        Assert.All(Changed(model.Model), name => Assert.Matches("^blocks.0.attention.*coefficients$", name));
        float[] scores = model.Perplexities(Verses.View(_ml));
        Assert.NotEqual(plain.Perplexities(Verses.View(_ml)), scores);
        string zip = _folder.File("model.zip"), small = _folder.File("delta.rbe");
        model.SaveDelta(small);
        _ml.Model.Save(model, null, zip);
        ITransformer loaded = _ml.Model.Load(zip, out _);
        Assert.Equal(scores, loaded.Perplexities(Verses.View(_ml)));
        Assert.Equal(scores, Fit(o => (o.DeltaPath, o.Epochs) = (small, 0)).Perplexities(Verses.View(_ml)));
        LanguageModelTransformer more = Fit(o => o.DeltaPath = small);
        Assert.Equal(Changed(model.Model), Changed(more.Model));
        Assert.NotEqual(scores, more.Perplexities(Verses.View(_ml)));
        LanguageModelTransformer read = loaded as LanguageModelTransformer ?? (LanguageModelTransformer)((IEnumerable<ITransformer>)loaded).Single();
        Assert.Contains("loaded from a file", Assert.Throws<InvalidOperationException>(() => read.SaveDelta(small)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => plain.SaveDelta(small));
        using ModelBundle other = Base(6);
        Assert.Throws<DeltaMismatchException>(() => Fit(o => (o.Model, o.DeltaPath) = (other, small)));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(FewLabelMethod.FineTuned)]
    [InlineData(FewLabelMethod.Contrastive)]
    public void A_classifiers_delta_is_trained_saved_and_read(FewLabelMethod? method)
    {
        DeltaOptions delta = new() { Share = 0.05, Biases = true };
        TextClassificationTransformer model = Classify(o => (o.Delta, o.Method) = (delta, method));
        Assert.Equal(12, Changed(model.Classifier.Model).Length);
        Assert.All(Changed(model.Classifier.Model), name => Assert.Matches("^blocks.0.*(coefficients|bias)$", name));
        string zip = _folder.File("model.zip"), small = _folder.File("delta.rbe");
        model.SaveDelta(small);
        _ml.Model.Save(model, null, zip);
        Assert.Equal(Toy.Scores(_ml, model, Toy.Binary(_ml)), Toy.Scores(_ml, _ml.Model.Load(zip, out _), Toy.Binary(_ml)));
        using (DeltaModel read = DeltaFile.Apply(small, _base.Model))
        {
            Assert.All(read.Model.Parameters.Slices, slice => Assert.Equal(read.Model.Parameters.ToFloats(slice),
                model.Classifier.Model.Parameters.ToFloats(model.Classifier.Model.Parameters.Find(slice.Name))));
        }

        TextClassificationTransformer more = Classify(o => (o.DeltaPath, o.Method) = (small, method));
        Assert.Equal(Changed(model.Classifier.Model), Changed(more.Classifier.Model));
    }

    [Fact]
    public void What_cannot_be_is_refused_by_name()
    {
        Language("Delta", o => (o.Model, o.Delta) = (null, new DeltaOptions()));
        Language("DeltaPath", o => (o.Model, o.DeltaPath) = (null, "a.rbe"));
        Language("DeltaPath", o => (o.Delta, o.DeltaPath) = (new DeltaOptions(), "a.rbe"));
        Language("Share = 2", o => o.Delta = new DeltaOptions { Share = 2 });
        Language("matches none", o => o.Delta = new DeltaOptions { Layers = ["blocks.7.*"] });
        Language("stored as sparse", o => (o.Delta, o.Compression) = (new DeltaOptions(), new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }));
        Language("Support", o => (o.Delta, o.Epochs) = (new DeltaOptions { Support = DeltaSupport.Gradient }, 0));
        Classes("Trained", o => (o.Delta, o.Trained) = (new DeltaOptions(), TrainedParts.Biases));
        Classes("Gradient", o => o.Delta = new DeltaOptions { Support = DeltaSupport.Gradient });

        void Language(string says, Action<LanguageModelOptions> change) =>
            Assert.Contains(says, Assert.Throws<InvalidSettingException>(() => Fit(change)).Message, StringComparison.Ordinal);

        void Classes(string says, Action<TextClassificationOptions> change) =>
            Assert.Contains(says, Assert.Throws<InvalidSettingException>(() => Classify(change)).Message, StringComparison.Ordinal);
    }
}
