using System.Globalization;
using RbeMl.Cli.Output;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>Something that happened to a run besides its steps.</summary>
/// <param name="Step">The step that it happened at.</param>
/// <param name="Kind">skip, rollback or spike.</param>
/// <param name="What">What it was, in words.</param>
internal sealed record RunEvent(int Step, string Kind, string What)
{
    /// <summary>As one text, for a state.</summary>
    public string Line => string.Create(CultureInfo.InvariantCulture, $"{Step} {Kind} {What}");

    /// <summary>The event of a text; null for one that is none.</summary>
    public static RunEvent? Of(string line) => line.Split(' ', 3) is [var step, var kind, var what]
        && int.TryParse(step, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? new RunEvent(number, kind, what) : null;
}

/// <summary>
/// Does a run's steps, and what was asked for where one fails: skips it, or goes back to the last state with a smaller rate. Tells of losses
/// that jump. All of it is a function of the steps, so that a resumed run does the same.
/// </summary>
/// <param name="settings">What was asked for.</param>
/// <param name="run">The record of the run.</param>
/// <param name="states">Its states.</param>
/// <param name="tell">Told what happens.</param>
internal sealed class RunGuard(FinetuneSettings settings, RunRecord run, RunStates states, Action<string> tell)
{
    private const int MostSkips = 10, MostRollbacks = 3, Looked = 50, LeastLooked = 20, Best = 10;
    private const double RateShare = 0.5, LeastJump = 1, Deviations = 6;
    private const string Ruined =
        "The weights themselves are ruined, which no skipped step mends. Use --on-divergence rollback, or a smaller --learning-rate or --clip.";

    private static readonly string[] s_places = ["first", "second", "third"];
    private bool _told;

    /// <summary>Why nothing more is done about a step that failed, in a sentence; null while something is, or nothing was asked for.</summary>
    public string? GaveUp { get; private set; }

    /// <summary>
    /// Why the weights predict nothing any more; null while they do. A gradient that overflows leaves them as they were, a step too long does not.
    /// </summary>
    public static NonFiniteException? Fault(Trainer trainer)
    {
        try
        {
            trainer.Validate(1);
            return null;
        }
        catch (NonFiniteException error)
        {
            return error;
        }
    }

    /// <summary>Does the next step.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="progress">Fraction of the run that is done.</param>
    /// <param name="cancel">Ends the step.</param>
    /// <returns>The step, whose tokens are 0 where it was skipped; null where the run went back.</returns>
    /// <exception cref="NonFiniteException">It failed, and nothing more is to be done about it.</exception>
    public TrainingProgress? Step(Trainer trainer, double progress, CancellationToken cancel)
    {
        try
        {
            return trainer.Step(progress, cancel);
        }
        catch (NonFiniteException error) when (settings.OnDivergence == OnDivergence.Skip)
        {
            if (Fault(trainer) is not null)
            {
                GaveUp = Ruined;
                throw;
            }

            if (Skips == MostSkips)
            {
                GaveUp = $"{MostSkips} steps in a row were skipped, the most there are. Use --on-divergence rollback, or a smaller --learning-rate or --clip.";
                throw;
            }

            TrainingProgress skipped = trainer.Skip(progress) with { Loss = run.Steps.Count > 0 ? run.Steps[^1].Loss : 0 };
            Add(new RunEvent(skipped.Step, "skip", error.Message));
            return skipped;
        }
        catch (NonFiniteException error) when (settings.OnDivergence == OnDivergence.Rollback)
        {
            if (!GoBack(trainer, trainer.StepsDone + 1, error)) throw;
            return null;
        }
    }

    /// <summary>Goes back, where that was asked for, as the weights of the last step were found to predict nothing.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="ruined">What they predict.</param>
    /// <returns>False where nothing more is to be done about it.</returns>
    public bool GoesBack(Trainer trainer, NonFiniteException ruined)
    {
        if (settings.OnDivergence == OnDivergence.Rollback) return GoBack(trainer, trainer.StepsDone, ruined);
        if (settings.OnDivergence == OnDivergence.Skip) GaveUp = Ruined;
        return false;
    }

    private bool GoBack(Trainer trainer, int failed, NonFiniteException error)
    {
        int done = run.Events.Count(each => each.Kind == "rollback");
        if (done == MostRollbacks || !states.CanGoBack)
        {
            GaveUp = done < MostRollbacks ? "There is no state of the run to go back to."
                : string.Create(CultureInfo.InvariantCulture, $"The run went back {MostRollbacks} of {MostRollbacks} times, and it went wrong at "
                    + $"{trainer.RateScale:0.###} of the learning rate too. Use one below {settings.LearningRate * trainer.RateScale:0.######}.");
            return false;
        }

        List<RunEvent> events = [.. run.Events];
        double rate = trainer.RateScale * RateShare;
        states.GoBack(trainer);
        run.Events.Clear();
        run.Events.AddRange(events);
        trainer.RateScale = rate;
        Add(new RunEvent(failed, "rollback", string.Create(CultureInfo.InvariantCulture,
            $"to step {trainer.StepsDone} with {rate:0.###} of the learning rate, the {s_places[done]} of {MostRollbacks} times: {error.Message}")));
        states.Save(trainer, () => { }); // a run that is killed now goes on with that rate
        states.Share();
        return true;
    }

    /// <summary>
    /// Whether the weights are worth a state. In a run that may go back they are not where they predict the next batch by far worse than batches were
    /// predicted at the best of the run so far: going back there would not help.
    /// </summary>
    public bool IsWorthKeeping(Trainer trainer)
    {
        if (settings.OnDivergence != OnDivergence.Rollback) return true;
        double loss = trainer.Probe();
        (double mean, double deviation) = BestOf(run.Steps);
        if (double.IsFinite(loss) && (run.Steps.Count == 0 || loss <= mean + Math.Max(LeastJump, Deviations * deviation))) return true;
        if (_told) return false;
        _told = true;
        string now = double.IsFinite(loss) ? $"a loss of {Format.Loss(loss)} where it was {Format.Loss(mean)} at best" : "a loss that is no number";
        tell($"the weights after step {trainer.StepsDone.ToString(CultureInfo.InvariantCulture)} have {now}: no state is saved of such, as one to go back to "
            + "is no better, and the last good one is kept.");
        return false;
    }

    // The lowest mean loss of some steps in a row, and its standard deviation; of all where there are fewer. Skipped steps have no loss.
    internal static (double Mean, double Deviation) BestOf(IReadOnlyList<StepRecord> steps)
    {
        Queue<double> window = new();
        (double Mean, double Deviation) best = (double.PositiveInfinity, 0);
        foreach (StepRecord step in steps)
        {
            if (step.Tokens == 0) continue;
            window.Enqueue(step.Loss);
            if (window.Count > Best) window.Dequeue();
            if (window.Count < Best && !double.IsInfinity(best.Mean)) continue; // of the first alone, until there are as many
            double mean = window.Average();
            if (mean < best.Mean) best = (mean, Math.Sqrt(window.Sum(loss => (loss - mean) * (loss - mean)) / window.Count));
        }

        return best;
    }

    /// <summary>Looks at the last step's loss.</summary>
    public void Look()
    {
        List<StepRecord> steps = run.Steps;
        int from = Math.Max(0, steps.Count - 1 - Looked), count = steps.Count - 1 - from;
        if (count < LeastLooked || (run.Events.FindLast(each => each.Kind == "spike") is { } last && steps[^1].Step - last.Step < Looked)) return;
        double mean = 0, squares = 0;
        for (int i = from; i < steps.Count - 1; i++) mean += steps[i].Loss / count;
        for (int i = from; i < steps.Count - 1; i++) squares += (steps[i].Loss - mean) * (steps[i].Loss - mean) / count;
        if (steps[^1].Loss <= mean + Math.Max(LeastJump, Deviations * Math.Sqrt(squares))) return;
        Add(new RunEvent(steps[^1].Step, "spike", $"the loss jumped from about {Format.Loss(mean)} to {Format.Loss(steps[^1].Loss)}. Where it does not "
            + "come down again, use a smaller --learning-rate or --clip"));
    }

    // In a row, up to the last step.
    private int Skips => run.Steps.AsEnumerable().Reverse().TakeWhile(step => step.Tokens == 0).Count();

    private void Add(RunEvent happened)
    {
        run.Events.Add(happened);
        tell($"{happened.Kind} at step {happened.Step.ToString(CultureInfo.InvariantCulture)}: {happened.What.TrimEnd('.')}.");
    }
}
