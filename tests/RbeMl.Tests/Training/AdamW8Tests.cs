using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Tests.Files;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>AdamW with moments of 8 bits: close to AdamW's steps, with a quarter of its state.</summary>
public sealed class AdamW8Tests : IDisposable
{
    private static readonly TrainerOptions s_options = new() { Steps = 60, BatchSize = 4, Context = 16, LearningRate = 3e-3, WarmupSteps = 5 };
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Trainer Make(OptimizerOptions optimizer, params ParameterGroup[] groups) =>
        new(SmallModel.Create(dropout: 0), new CountingTokens(11), new CountingTokens(11), s_options with { Optimizer = optimizer, Groups = groups }, 1);

    /// <summary>The first step knows nothing of codes yet, and is AdamW's; later ones differ, and the loss falls as far.</summary>
    [Fact]
    public void Losses_are_those_of_AdamW()
    {
        using Trainer plain = Make(new AdamWOptions()), coded = Make(new AdamW8Options());
        double start = plain.Validate();
        plain.Step();
        coded.Step();
        Assert.Equal(TrainingStateTests.Bits(plain.Model.Parameters), TrainingStateTests.Bits(coded.Model.Parameters));
        double expected = plain.Run(), found = coded.Run();
        Assert.NotEqual(expected, found);
        Assert.True(expected < 0.7 * start, $"{expected} of {start}");
        Assert.Equal(expected, found, 0.03 * (start - expected));
    }

    [Fact]
    public void The_state_takes_a_quarter_of_AdamWs_and_is_counted()
    {
        using Trainer plain = Make(new AdamWOptions()), coded = Make(new AdamW8Options());
        Assert.InRange(coded.Bytes.Optimizer / (double)plain.Bytes.Optimizer, 0.25, 0.3);
        Assert.Equal(coded.Bytes.Optimizer, coded.Estimate.Optimizer);
        using Trainer frozen = Make(new AdamW8Options(), new ParameterGroup("embedding.*") { Frozen = true });
        long values = plain.Model.Parameters.Slices.Where(slice => slice.Kind == ParameterKind.Embedding).Sum(slice => (long)slice.Length);
        Assert.InRange(coded.Bytes.Optimizer - frozen.Bytes.Optimizer, 2 * values, (2 * values) + (8 * values / 256) + 16);
        string state = _folder.File("state.rbe");
        coded.SaveState(state);
        plain.SaveState(_folder.File("plain.rbe"));
        Assert.True(new FileInfo(state).Length < 0.55 * new FileInfo(_folder.File("plain.rbe")).Length);
    }

    [Fact]
    public void Codes_of_another_length_and_scales_that_are_no_numbers_are_refused()
    {
        using Trainer trainer = Make(new AdamW8Options()), other = Make(new AdamW8Options());
        trainer.Step();
        string state = _folder.File("state.rbe"), changed = _folder.File("changed.rbe");
        trainer.SaveState(state);
        Change(bytes => bytes[..^1], "codes");
        Assert.Contains("optimizer.first.codes", Assert.Throws<RbeFileException>(() => other.Resume(changed)).Message);
        Change(bytes => [.. BitConverter.GetBytes(float.NaN), .. bytes[4..]], "scales");
        Assert.Throws<NonFiniteException>(() => other.Resume(changed));
        Assert.Equal(0, other.StepsDone);
        other.Resume(state);
        Assert.Equal(trainer.Step().Loss, other.Step().Loss);
        Assert.Equal(TrainingStateTests.Bits(trainer.Model.Parameters), TrainingStateTests.Bits(other.Model.Parameters));

        void Change(Func<byte[], byte[]> change, string part)
        {
            using RbeContainer file = RbeContainer.Open(state);
            RbeContainerWriter.Write(changed, JsonNode.Parse(file.Metadata.GetRawText())!.AsObject(), [.. file.Tensors.Select(tensor =>
                tensor.Element == RbeElement.F32 ? RbeTensor.From(tensor.Name, file.Read<float>(tensor.Name))
                    : RbeTensor.From(tensor.Name, Bytes(tensor.Name, file.Read<byte>(tensor.Name))))]);

            byte[] Bytes(string name, byte[] bytes) => name == $"optimizer.first.{part}" ? change(bytes) : bytes;
        }
    }
}
