using RbeMl.Cli.Output;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <content>What is saved and written, and what is said where that fails.</content>
internal sealed partial class FinetuneJob
{
    private MetricsLog? _log;

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
        if (settings.SaveDelta is not { } path) return;
        DeltaFile.Save(path, _delta!);
        _run.Files["delta"] = path;
    }

    // The best weights so far are kept beside what the trainer counts.
    private long BestBytes(TransformerModel<float> model, int context)
    {
        if (settings.Patience == 0) return 0;
        IReadOnlyList<ParameterGroup> groups = settings.ToTrainer(context, ValidationSequences, 0, _delta).Groups;
        return sizeof(float) * model.Parameters.LengthOf(slice => ParameterGroup.Trains(groups, slice));
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
        if (!ranks.IsFirst) return;
        using AveragedWeights averaged = trainer.Averaged();
        SaveModel(Served(trainer), data);
        AtomicFile.Write(_files.Metrics, _run.Write);
    });

    private void SaveState(Trainer trainer)
    {
        trainer.Meet(); // so that all ranks judge the same weights
        if (_guard.IsWorthKeeping(trainer)) Meanwhile(() => _states.Save(trainer, _files.KeepEarlier));
        _states.Share();
    }

    // A disk that is full for a while ends no training; of weights that predict nothing the next step says what is wrong.
    private void Meanwhile(Action save)
    {
        try
        {
            save();
        }
        catch (RbeException error) when (error is RbeFileException or NonFiniteException)
        {
            host.Complain($"rbeml: note: saving after {StepsDone} failed, and training goes on: {error.Message}");
        }
    }

    private string StepsDone => Format.Count(_run.Steps.Count, "step");

    private string Saved => $"The model after {StepsDone} is saved in {_files.Model}.{(_files.Earlier is { } earlier ? " " + earlier : "")}{WhyNoMore}";

    private string WhyNoMore => _guard.GaveUp is { } why ? $" {why}" : "";

    private string EarlierState => $"An earlier state of the model is in {_files.Model}.";

    private string NotSaved =>
        $"The weights after {StepsDone} predict nothing any more and are not saved.{(_run.WeightsHash is null ? "" : $" {EarlierState}")}{WhyNoMore}";

    private string HalfMoved =>
        $"The weights were moving to those after the next step and are not saved.{(_run.WeightsHash is null ? "" : $" {EarlierState}")}{WhyNoMore}";

    private void SaveLast(TransformerModel<float> model, TrainingData data)
    {
        if (!ranks.IsFirst) return;
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
            if (ranks.IsFirst) SaveModel(model, data);
            if (ranks.IsFirst) AtomicFile.Write(_files.Metrics, _run.Write);
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

    // Files of an earlier run keep their names until there is something to put in their place.
    private void Log(StepRecord step)
    {
        if (!ranks.IsFirst) return;
        if (_log is not null)
        {
            _log.Write(step);
            return;
        }

        List<MetricsFile> files = [];
        Meanwhile(() =>
        {
            _files.Keep(_files.Lines); // what cannot be kept is not written over
            files.Add(new JsonLinesFile(_files.Lines));
        });
        Meanwhile(() =>
        {
            _files.Keep(_files.Config);
            AtomicFile.WriteText(_files.Config, RunConfig.ToJson(_run, settings.Options, settings.Declared, settings.Usual, settings.Out));
        });
        if (settings.Csv is { } table) files.Add(new CsvFile(table));
        if (settings.TensorBoard is { } folder) files.Add(new EventFile(EventFile.Of(folder, _run.RunId)));
        _log = new MetricsLog(files, _run, message => host.Complain($"rbeml: note: {message}"));
    }

    // What was there is replaced where that was asked for, if it is of this kind, and nothing else ever.
    private void CheckNew(string? file, string option, Func<string, bool> isOurs)
    {
        if (file is null || !File.Exists(file)) return;
        if (settings is { Overwrite: false, Resume: null })
        {
            throw new RbeFileException(file, $"is there already. Give {option} another name, or say --overwrite.");
        }

        if (isOurs(file)) return;
        throw new RbeFileException(file, $"was not written by finetune, and {option} would replace it. Move it, or choose another name.");
    }

    private static bool IsTable(string file) => FileBeginning.Read(file).AsSpan().StartsWith(System.Text.Encoding.UTF8.GetBytes(CsvFile.Header));

    // Of the looks in between, all of which are at the same sequences.
    private (int Count, int Best) Looks()
    {
        List<double> looks = [.. _run.Validation.Where(look => look.Step > 0).Select(look => look.Loss)];
        return (looks.Count, looks.Count == 0 ? 0 : looks.IndexOf(looks.Min()) + 1);
    }

    // Keeps weights that are better than all before, and says whether none were for too long.
    private bool GotNoBetter(Trainer trainer)
    {
        if (_states.Best is not { } best) return false;
        (int count, int number) = Looks();
        if (number == count)
        {
            using AveragedWeights averaged = trainer.Averaged();
            best.Keep();
        }

        return _run.StoppedEarly = EarlyStopping.IsOver(settings.Patience, count, number);
    }

    // Sets the weights to the best that were seen, where the last are none.
    private bool ApplyBest(Trainer trainer)
    {
        if (_states.Best is not { } best || _run.Cancelled || Looks() is not { Best: > 0 } looks) return false;
        ValidationRecord seen = _run.Validation.Where(look => look.Step > 0).ElementAt(looks.Best - 1);
        if (seen.Step == trainer.StepsDone || !(trainer.Validate(InterimSequences, host.Cancel) >= seen.Loss)) return false;
        trainer.Apply(best);
        _run.BestStep = seen.Step;
        return true;
    }
}
