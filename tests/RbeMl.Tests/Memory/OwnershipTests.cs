using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>What holds the state of one object's calls is refused by every other object, whatever its shapes.</summary>
public sealed class OwnershipTests
{
    private const int Batch = 2, Length = 8;
    private static readonly int[] s_tokens = [.. Enumerable.Range(0, Batch * Length).Select(i => i % 11)];

    public static TheoryData<string> Pairs =>
    [
        "block, context of another block of the model", "block, context of the same block of another model",
            "block, context of a narrower model", "block, context of its copy for inference",
        "block, context after its backward", "block, context after a forward that failed", "block, cache that was reset after the forward",
            "block, cache with tokens of another block",
        "block, cache of other heads", "block, cache of another batch", "block, gradients of another model",
            "model, cache with tokens of another model", "model, cache of other shapes",
        "model, cache of other layers", "model, cache whose layers differ", "model, context of another model",
            "model, gradients of another model", "classifier, context of another classifier",
        "classifier, gradients of its head for the model", "classifier, gradients of its model for the head",
            "optimizer, gradients of another model", "parameters, slice of another model",
        "parameters, slice that was made up", "parameters, values of another model", "parameters, too few values",
    ];

    [Theory]
    [MemberData(nameof(Pairs))]
    public void State_of_another_object_is_refused(string pair)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0), other = SmallModel.Create(dropout: 0),
            narrow = SmallModel.Create(dropout: 0, width: 16), deep = SmallModel.Create(dropout: 0, layers: 3);
        using Workspace<float> workspace = new(1);
        using BlockContext<float> context = new();
        using ParameterVector<float> gradients = model.Parameters.CreateLike(), otherGradients = other.Parameters.CreateLike();
        using KvCache<float> cache = new(model.Config, Batch, 16);
        RbeTransformerBlock<float> block = model.Blocks[0];
        float[] x = Numbers.Normal(Batch * Length * 32, 1), logits = new float[Batch * 11];
        Exception error;
        switch (pair)
        {
            case "block, context of another block of the model":
                Forward(model.Blocks[1], 32);
                error = Refused(Backward);
                break;
            case "block, context of the same block of another model":
                Forward(other.Blocks[0], 32);
                error = Refused(Backward);
                break;
            case "block, context of a narrower model":
                Forward(narrow.Blocks[0], 16);
                error = Refused(Backward);
                break;
            case "block, context of its copy for inference":
                using (RbeTransformerBlock<float> copy = block.ToInference())
                {
                    Forward(copy, 32);
                    error = Refused(Backward);
                }

                break;
            case "block, context after its backward":
                Forward(block, 32);
                Backward();
                error = Assert.Throws<InvalidOperationException>(Backward);
                break;
            case "block, context after a forward that failed":
                Forward(block, 32);
                Assert.Throws<ShapeMismatchException>(() => block.Forward(x, Batch, Length + 1, null, context, workspace));
                error = Assert.Throws<InvalidOperationException>(Backward);
                break;
            case "block, cache that was reset after the forward":
                block.Forward(x, Batch, Length, new ForwardOptions<float> { Cache = cache[0] }, context, workspace);
                cache.Reset();
                error = Refused(Backward);
                break;
            case "block, cache with tokens of another block":
                model.Blocks[1].Forward(x, Batch, Length, new ForwardOptions<float> { Cache = cache[0] }, null, workspace);
                error = Refused(() => block.Forward(x, Batch, Length, new ForwardOptions<float> { Cache = cache[0] }, null, workspace));
                break;
            case "block, cache of other heads":
                using (LayerKvCache<float> heads = new(Batch, 4, 8, 16)) error =
                    Refused(() => block.Forward(x, Batch, Length, new ForwardOptions<float> { Cache = heads }, null, workspace));
                break;
            case "block, cache of another batch":
                using (LayerKvCache<float> batch = new(1, 2, 16, 16)) error =
                    Refused(() => block.Forward(x, Batch, Length, new ForwardOptions<float> { Cache = batch }, null, workspace));
                break;
            case "block, gradients of another model":
                Forward(block, 32);
                error = Refused(() => block.Backward(x, context, otherGradients, workspace));
                break;
            case "model, cache with tokens of another model":
                other.LastLogits(s_tokens, Batch, Length, workspace, cache, logits);
                error = Refused(() => model.LastLogits([1, 2], Batch, 1, workspace, cache, logits));
                Refused(() => model.Logits(s_tokens, Batch, Length, workspace, cache));
                cache.Reset();
                model.LastLogits([1, 2], Batch, 1, workspace, cache, logits);
                break;
            case "model, cache of other shapes":
                using (KvCache<float> shapes = new(narrow.Config, Batch, 16)) error =
                    Refused(() => model.LastLogits([1, 2], Batch, 1, workspace, shapes, logits));
                break;
            case "model, cache of other layers":
                using (KvCache<float> layers = new(deep.Config, Batch, 16)) error =
                    Refused(() => model.LastLogits([1, 2], Batch, 1, workspace, layers, logits));
                break;
            case "model, cache whose layers differ":
                model.Blocks[1].Forward(x, Batch, Length, new ForwardOptions<float> { Cache = cache[1] }, null, workspace);
                error = Refused(() => model.LastLogits([1, 2], Batch, 1, workspace, cache, logits));
                Refused(() => model.Logits(s_tokens, Batch, Length, workspace, cache));
                break;
            case "model, context of another model":
                using (TransformerContext<float> own = new(other, workspace)) error = Refused(() => model.Loss(s_tokens, s_tokens, Batch, Length, own));
                break;
            case "model, gradients of another model":
                using (TransformerContext<float> own = new(model, workspace)) error =
                    Refused(() => model.Loss(s_tokens, s_tokens, Batch, Length, own, gradients: otherGradients));
                break;
            case "optimizer, gradients of another model":
                using (Optimizer<float> optimizer = new AdamWOptions().Create(model.Parameters, new TrainerOptions { Steps = 1 })) error =
                    Refused(() => optimizer.Step(otherGradients, 1, workspace.Workers));
                break;
            case "parameters, slice of another model":
                error = Refused(() => model.Parameters.ToFloats(other.Parameters.Slices[0]));
                Refused(() => model.Parameters.Read(deep.Parameters.Slices[^1], new float[deep.Parameters.Slices[^1].Length]));
                break;
            case "parameters, slice that was made up":
                error = Refused(() => model.Parameters.ToFloats(new ParameterSlice("far", ParameterKind.Bias, 1L << 40, 8)));
                Refused(() => model.Parameters.Read(new ParameterSlice("before", ParameterKind.Bias, -64, 8), new float[8]));
                Refused(() => model.Parameters.Write(model.Parameters.Slices[0] with { Length = int.MaxValue }, new float[8]));
                break;
            case "parameters, values of another model":
                error = Refused(() => model.Parameters.CopyFrom(other.Parameters));
                break;
            case "parameters, too few values":
                error = Refused(() => gradients.Write(gradients.Slices[0], new float[gradients.Slices[0].Length - 1]));
                break;
            default:
                using (SequenceClassifier<float> a = new(SmallModel.Create(), new ClassifierConfig { Classes = 2 }, 1),
                    b = new(SmallModel.Create(), new ClassifierConfig { Classes = 40 }, 1))
                using (ClassifierContext<float> contextA = new(a, workspace))
                using (ParameterVector<float> modelA = a.Model.Parameters.CreateLike(), headA = a.Head.CreateLike())
                {
                    error = pair switch
                    {
                        "classifier, context of another classifier" => Refused(() => b.Loss(s_tokens, [8, 8], [0, 1], contextA)),
                        "classifier, gradients of its head for the model" => Refused(() => a.Loss(s_tokens, [8, 8], [0, 1], contextA, null, headA, headA)),
                        "classifier, gradients of its model for the head" => Refused(() => a.Loss(s_tokens, [8, 8], [0, 1], contextA, null, modelA, modelA)),
                        _ => throw new ArgumentOutOfRangeException(nameof(pair), pair, "no such pair"),
                    };
                }

                break;
        }

        Assert.EndsWith(".", error.Message, StringComparison.Ordinal);

        // What was refused left nothing in use.
        Assert.Equal((0, 0, 0), (workspace.Lease.Calls, context.Lease.Calls, model.Parameters.Lease.Calls));
        float[] fine = block.Forward(x, Batch, Length, null, context, workspace).Output;
        Assert.Equal(fine.Length, block.Backward(x, context, gradients, workspace).Length);

        void Forward(RbeTransformerBlock<float> from, int width) =>
            from.Forward(Numbers.Normal(Batch * Length * width, 2), Batch, Length, null, context, workspace);

        void Backward() => block.Backward(x, context, gradients, workspace);

        static ShapeMismatchException Refused(Action call) => Assert.Throws<ShapeMismatchException>(call);
    }

    [Fact]
    public void A_workspace_serves_models_of_all_sizes_one_after_the_other()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0), narrow = SmallModel.Create(dropout: 0, width: 16);
        using Workspace<float> shared = new(2), own = new(2);
        float[] expected = model.Logits(s_tokens, Batch, Length, own);
        for (int round = 0; round < 3; round++)
        {
            narrow.Logits([1, 2, 3], 1, 3, shared);
            Assert.Equal(expected, model.Logits(s_tokens, Batch, Length, shared));
        }
    }
}
