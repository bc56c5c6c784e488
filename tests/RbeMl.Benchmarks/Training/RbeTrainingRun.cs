using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Benchmarks.Training;

/// <summary>A training under way.</summary>
internal interface ITrainingRun : IDisposable
{
    /// <summary>Values that are trained.</summary>
    long Values { get; }

    /// <summary>Bytes of the optimiser's state.</summary>
    long OptimizerBytes { get; }

    /// <summary>A step.</summary>
    void Step();

    /// <summary>Loss on the whole held-out text, of the average of the weights where there is one.</summary>
    double Validate();

    /// <summary>Bytes of the model as a file, of the averages. Ends the run.</summary>
    long FileBytes();
}

/// <summary>The library's.</summary>
internal sealed class RbeTrainingRun : ITrainingRun
{
    private readonly TransformerModel<float> _model;
    private readonly Trainer _trainer;

    public RbeTrainingRun(TrainingSetting setting, TrainingWay way, int steps, ulong seed)
    {
        _model = TransformerModel<float>.Create(setting.Config(way.Width), way.Compression, seed);
        _trainer = new Trainer(_model, setting.Train(seed), setting.Held, setting.Options(way, steps, seed), setting.Threads);
    }

    /// <inheritdoc/>
    public long Values => _model.Parameters.TrainableCount;

    /// <inheritdoc/>
    public long OptimizerBytes => _trainer.Bytes.Optimizer;

    /// <inheritdoc/>
    public void Step() => _trainer.Step();

    /// <inheritdoc/>
    public double Validate() => _trainer.Validate();

    /// <inheritdoc/>
    public long FileBytes()
    {
        _trainer.ApplyAverage();
        string file = Path.GetTempFileName();
        ModelFile.Save(file, _trainer.GetWeights(), null);
        long bytes = new FileInfo(file).Length;
        File.Delete(file);
        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _trainer.Dispose();
        _model.Dispose();
    }
}
