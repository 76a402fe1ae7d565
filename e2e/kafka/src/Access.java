import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Who may sign in and see what. */
final class Access {
    /** A user who proves a password by SCRAM. */
    static void user(Admin admin, Map<String, String> asked) throws Exception {
        for (ScramMechanism mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(asked.get("name"),
                new ScramCredentialInfo(mechanism, 4096), asked.get("password")))).all().get();
        }
    }

    /** Lets a user describe a group or a topic, or no longer. */
    static void describe(Admin admin, Map<String, String> asked, boolean allowed) throws Exception {
        ResourceType kind = ResourceType.valueOf(asked.get("kind").toUpperCase());
        AclBinding binding = new AclBinding(new ResourcePattern(kind, asked.get("name"), PatternType.LITERAL),
            new AccessControlEntry("User:" + asked.get("user"), "*", AclOperation.DESCRIBE, AclPermissionType.ALLOW));
        if (allowed) {
            admin.createAcls(List.of(binding)).all().get();
        } else {
            admin.deleteAcls(List.of(binding.toFilter())).all().get();
        }
        // The broker hears of it from the controller.
        while (admin.describeAcls(binding.toFilter()).values().get().isEmpty() == allowed) {
            Thread.sleep(100);
        }
    }
}
