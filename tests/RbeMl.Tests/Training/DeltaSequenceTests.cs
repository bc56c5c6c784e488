using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Deltas and groups in trainings over whole sequences.</summary>
public sealed class DeltaSequenceTests
{
    private static readonly ClassifierExample[] s_examples =
        [.. Enumerable.Range(0, 24).Select(i => new ClassifierExample([i % 11, (i * 3) % 11, i % 2], i % 2))];

    private static TransformerModel<float> Model(RbeFormat format)
    {
        TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 11, MaxSequenceLength = 16 };
        return new(TransformerWeights.CreateUntrained(config, new RbeOptions { Tile = 32, Alphas = false, Format = format }, 3));
    }

    private static string[] Changed(TransformerModel<float> from, TransformerModel<float> to) =>
        [.. to.Parameters.Slices.Where(slice => from.Parameters.Slices.FirstOrDefault(other => other.Name == slice.Name) is not { } other
            || !from.Parameters.ToFloats(other).AsSpan().SequenceEqual(to.Parameters.ToFloats(slice))).Select(slice => slice.Name)];

    [Fact]
    public void A_delta_alone_is_trained_beside_the_head()
    {
        using TransformerModel<float> basis = Model(RbeFormat.Quantized(4));
        using DeltaModel classes = DeltaModel.Attach(basis, new DeltaOptions { Layers = ["*.attention.*"] }),
            alike = DeltaModel.Attach(basis, new DeltaOptions { Support = DeltaSupport.Random });
        SequenceClassifier<float> classifier = new(classes.Model, new ClassifierConfig { Classes = 2 }, 5);
        float[] head = classifier.Head.ToFloats(classifier.Head.Slices[0]);
        using (ClassifierTrainer trainer = new(classifier, s_examples, null, new() { Epochs = 1, BatchSize = 8, Groups = classes.Groups }, 1)) trainer.Run();
        Assert.Equal(classes.Trained, Changed(basis, classes.Model));
        Assert.NotEqual(head, classifier.Head.ToFloats(classifier.Head.Slices[0]));
        using (SimilarityTrainer trainer = new(alike.Model, s_examples, new() { Epochs = 1, BatchSize = 8, Groups = alike.Groups }, 1)) trainer.Run();
        Assert.Equal(alike.Trained, Changed(basis, alike.Model));
    }

    /// <summary>A group reaches rates and decay of the model; the head, whose parameters have names of their own, has the run's.</summary>
    [Fact]
    public void Groups_are_of_the_model_and_not_of_the_head()
    {
        (float[] Bias, float[] Head) plain = Step([]), slow = Step([new ParameterGroup("*") { RateFactor = 0.5 }]);
        Assert.Equal(plain.Head, slow.Head);
        for (int i = 0; i < plain.Bias.Length; i++) Assert.Equal(plain.Bias[i], 2 * slow.Bias[i], 1e-6);

        static (float[] Bias, float[] Head) Step(ParameterGroup[] groups)
        {
            using TransformerModel<float> model = Model(RbeFormat.Sparse(128));
            SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2 }, 5);
            using ClassifierTrainer trainer = new(classifier, s_examples, null, new() { Epochs = 1, BatchSize = 8, Groups = groups }, 1);
            trainer.Step();
            return (model.Parameters.ToFloats(model.Parameters.Find("blocks.0.attention.value.bias")), classifier.Head.ToFloats(classifier.Head.Slices[0]));
        }
    }

    [Fact]
    public void Groups_that_fit_nothing_or_leave_nothing_are_refused()
    {
        using TransformerModel<float> model = Model(RbeFormat.Sparse(128));
        SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2 }, 5);
        ParameterGroup blocks = new("blocks.*") { Frozen = true };
        Refused("matches none", new() { Groups = [new ParameterGroup("blocks.7.*") { Frozen = true }] });
        Refused("leaves to train", new() { Groups = [blocks], Trained = TrainedParts.Coefficients });
        Refused("leaves to train", new() { Groups = [blocks], Trained = TrainedParts.Head });
        Refused("RateFactor", new() { Groups = [new ParameterGroup("*") { RateFactor = -1 }] });
        ParameterGroup[] tables = [new("*") { Frozen = true }, new("embedding.*") { Frozen = false }];
        Assert.Contains("leaves to train", Assert.Throws<InvalidSettingException>(() => new SimilarityTrainer(model, s_examples,
            new() { Groups = tables, Trained = TrainedParts.Blocks }, 1)).Message, StringComparison.Ordinal);

        void Refused(string says, ClassifierTrainerOptions options) => Assert.Contains(says,
            Assert.Throws<InvalidSettingException>(() => new ClassifierTrainer(classifier, s_examples, null, options, 1)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_encoders_places_are_not_chosen_by_gradients()
    {
        TransformerConfig config = new()
        {
            Width = 32,
            Heads = 2,
            Layers = 1,
            Vocabulary = 11,
            MaxSequenceLength = 16,
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        RbeOptions codes = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        using TransformerModel<float> encoder = new(TransformerWeights.CreateUntrained(config, codes, 3) with { Encoder = new EncoderSettings() });
        DeltaOptions options = new() { Support = DeltaSupport.Gradient };
        string message = Assert.Throws<InvalidSettingException>(() => DeltaModel.Attach(encoder, options)).Message;
        Assert.Contains("predicts none. Use Runs or Random.", message, StringComparison.Ordinal);
    }
}
