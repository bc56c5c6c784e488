using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <content>What is saved, and what is said where that fails.</content>
internal sealed partial class FinetuneJob
{
    // First of all, and with it the figures so far: whatever comes after may fail. The earlier run keeps its names until the new model is whole beside it.
    private void SaveModel(TransformerModel<float> model, TrainingData data)
    {
        RunMark mark = new(_run.RunId, RunMark.HashOf(model));
        AtomicFile.Write(_files.Model, stream =>
        {
            ModelFile.Save(stream, model, data.Tokenizer, run: mark);
            _files.KeepEarlier();
        });
        _run.WeightsHash = mark.WeightsHash;
        _run.Files["model"] = _files.Model;
    }

    // A model may be saved while the training fills its limit. So the code of it is compiled, and counted with the process at rest, before
    // the plan is made; what it allocates is known from doing it once, to nowhere.
    private long RehearseSaving(TransformerModel<float> model, TrainingData data)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        RunMark mark = new(_run.RunId, RunMark.HashOf(model));
        ModelFile.Save(Stream.Null, model, data.Tokenizer, run: mark);
        _run.Write(Stream.Null);
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private void SaveMeanwhile(Trainer trainer, TrainingData data) => Meanwhile(() =>
    {
        using AveragedWeights averaged = trainer.Averaged();
        SaveModel(Served(trainer), data);
        AtomicFile.Write(_files.Metrics, _run.Write);
    });

    // A disk that is full for a while ends no training.
    private void Meanwhile(Action save)
    {
        try
        {
            save();
        }
        catch (RbeFileException error)
        {
            host.Complain($"rbeml: note: saving after {StepsDone} failed, and training goes on: {error.Message}");
        }
    }

    private string EarlierState => $"An earlier state of the model is in {_files.Model}.";

    private string NotSaved =>
        $"The weights after {StepsDone} predict nothing any more and are not saved.{(_run.WeightsHash is null ? "" : $" {EarlierState}")}";

    private void SaveLast(TransformerModel<float> model, TrainingData data)
    {
        try
        {
            SaveModel(model, data);
        }
        catch (RbeFileException error) when (_run.WeightsHash is not null)
        {
            throw new SavedWorkException(error, EarlierState);
        }
    }

    private void SaveAfter(Exception failure, TransformerModel<float> model, TrainingData data)
    {
        try
        {
            SaveModel(model, data);
            AtomicFile.Write(_files.Metrics, _run.Write);
        }
        catch (RbeException error)
        {
            throw new SavedWorkException(failure, $"Saving failed too: {error.Message}{(_run.WeightsHash is null ? "" : $" {EarlierState}")}");
        }

        throw new SavedWorkException(failure, Saved);
    }

    private void SaveZip(TransformerModel<float> model, TrainingData data)
    {
        if (settings.MemoryLimit is { } limit && !ModelZip.Fits(model, (long)limit << 20))
        {
            File.Delete(_files.Zip); // one that is there would be of another model
            Say($"Left out {_files.Zip}: loading ML.NET would not fit into the memory limit. In code, ml.Rbe.LanguageModel with this "
                + $"ModelPath and 0 epochs makes it.");
            return;
        }

        ModelZip.Save(_files.Zip, model, data.Tokenizer, settings.Seed, new RunMark(_run.RunId, _run.WeightsHash!));
        _run.Files["ml.net"] = _files.Zip;
    }
}
