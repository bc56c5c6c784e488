using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Fuzz.Kinds;

/// <summary>The state of a training, resumed by the training that saved it.</summary>
internal sealed class StateKind() : RbeKind(() =>
[
    .. Optimizers.Select(optimizer => Samples.FileBytes(path =>
    {
        using Trainer trainer = Make(optimizer);
        trainer.Step();
        trainer.SaveState(path);
    })),
])
{
    private static readonly OptimizerOptions[] Optimizers = [.. OptimizerOptions.All];

    public override string Name => "rbe-state";

    /// <summary>The trainer's own vectors and buffers, which are there before anything is read.</summary>
    public override long Room => 16 << 20;

    public override object Load(CaseFiles files, Dice dice)
    {
        string path = files.WrittenFile();
        foreach (OptimizerOptions optimizer in Optimizers)
        {
            Trainer trainer = Make(optimizer);
            try
            {
                trainer.Resume(path);
                return trainer;
            }
            catch (StateMismatchException error) when (error.What == nameof(TrainerOptions.Optimizer) && optimizer != Optimizers[^1])
            {
                trainer.Dispose(); // the next
            }
            catch
            {
                trainer.Dispose();
                throw;
            }
        }

        throw new InvalidOperationException("There are no optimisers.");
    }

    public override void Use(object loaded, Dice dice)
    {
        using Trainer trainer = (Trainer)loaded;
        trainer.Step();
    }

    private static Trainer Make(OptimizerOptions optimizer)
    {
        TransformerModel<float> model = Samples.Model(0, 16);
        TrainerOptions options = new() { Steps = 4, BatchSize = 2, Context = 8, Optimizer = optimizer, AverageHorizon = 5 };
        return new Trainer(model, TokenDataset.FromStream([.. Enumerable.Range(0, 64).Select(i => i * i % 16)], 16), null, options, 1);
    }
}
