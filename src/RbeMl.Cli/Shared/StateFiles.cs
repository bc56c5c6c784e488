using System.Globalization;
using System.Text.RegularExpressions;
using RbeMl.Training;

namespace RbeMl.Cli;

/// <summary>Training states of runs in a folder: <c>state-STEP.rbe</c>.</summary>
internal static partial class StateFiles
{
    /// <summary>The part of a state that is the run's own, and its key that says which run.</summary>
    public const string Part = "finetune", RunId = "runId";

    /// <summary>The file of a step.</summary>
    public static string Of(string folder, int step) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"state-{step}.rbe"));

    /// <summary>The steps of which a folder has states.</summary>
    public static IEnumerable<int> StepsIn(string folder)
    {
        if (!Directory.Exists(folder)) yield break;
        foreach (string file in Directory.EnumerateFiles(folder, "state-*.rbe"))
        {
            Match name = Name().Match(Path.GetFileName(file));
            if (name.Success && int.TryParse(name.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int step)) yield return step;
        }
    }

    /// <summary>The state of the latest step in a folder.</summary>
    /// <exception cref="RbeFileException">There is none.</exception>
    public static string Latest(string folder) => StepsIn(folder).DefaultIfEmpty(0).Max() is > 0 and int step ? Of(folder, step)
        : throw new RbeFileException(folder, "has no training state to resume: a run that came to its end leaves none, nor one that was killed before "
            + "its first. Leave out --resume to begin.");

    /// <summary>Whether a file is a state of a run.</summary>
    public static bool IsOf(string file, string run)
    {
        try
        {
            using TrainingStateFile state = TrainingStateFile.Open(file);
            return state.Part(Part)?.Text(RunId) == run;
        }
        catch (RbeFileException)
        {
            return false;
        }
    }

    [GeneratedRegex("^state-([1-9][0-9]{0,9})\\.rbe$", RegexOptions.CultureInvariant)]
    private static partial Regex Name();
}
