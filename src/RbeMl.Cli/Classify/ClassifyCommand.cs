using System.CommandLine;
using RbeMl.Cli.Help;

namespace RbeMl.Cli.Classify;

/// <summary><c>rbeml classify</c>: train, predict, eval.</summary>
internal static class ClassifyCommand
{
    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        Command group = new(
            "classify",
            """
            Learns classes of texts from a few labelled ones with a pretrained model, and labels others.

            Examples:
              rbeml classify train -m minilm.rbe --data train.tsv -o tickets.rbe --test test.tsv
              rbeml classify predict -m tickets.rbe --text new.txt
              rbeml classify eval -m tickets.rbe --data test.tsv
            """);
        group.Add(TrainVerb.Create(host));
        group.Add(PredictVerb.Create(host));
        group.Add(EvalVerb.Create(host));
        HelpPage help = new(host);
        group.SetAction(help.Invoke);
        return group;
    }
}
